/** The open tunnels. node's servers forget a socket once it is upgraded, so this is where shutdown and metrics find them. */

import type { Tunnel } from './relay.ts'
import type { TunnelEnd } from './tunnel-end.ts'

export interface OpenTunnel {
  readonly route: string
  readonly tunnel: Tunnel
}

export class Registry {
  readonly #open = new Set<OpenTunnel>()
  readonly #whenEmpty: (() => void)[] = []

  get size(): number {
    return this.#open.size
  }

  /** Iterates without a copy; for scrapes. */
  [Symbol.iterator](): Iterator<OpenTunnel> {
    return this.#open.values()
  }

  add(open: OpenTunnel): void {
    this.#open.add(open)
  }

  delete(open: OpenTunnel): void {
    this.#open.delete(open)
    if (this.#open.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  /** Fulfilled when no tunnel is open; at once when none is. */
  empty(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenEmpty.push(resolve))
  }

  /** Ends every tunnel; each tells its end in its own time. */
  closeAll(by: 'gateway' | 'admin', reason: TunnelEnd['reason'], graceMs: number): void {
    for (const { tunnel } of this.#open) tunnel.close(by, reason, graceMs)
  }
}
