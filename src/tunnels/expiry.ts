/** Ends tunnels when the credentials that let them in end. */

import type { Expiry as TunnelExpiry, RunningTunnel } from './tunnel.ts'

export class Expiry implements TunnelExpiry {
  readonly #timers = new Map<RunningTunnel, NodeJS.Timeout>()

  watch(tunnel: RunningTunnel): void {
    const endMs = Math.min(...tunnel.grants.map(({ expiresAtMs }) => expiresAtMs ?? Infinity))
    if (endMs === Infinity) return
    const timer = setTimeout(() => tunnel.end('gateway', 'expired'), endMs - Date.now())
    this.#timers.set(tunnel, timer)
  }

  unwatch(tunnel: RunningTunnel): void {
    clearTimeout(this.#timers.get(tunnel))
    this.#timers.delete(tunnel)
  }
}
