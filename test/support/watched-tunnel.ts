/** A tunnel whose end can be awaited. */

import type { Relay, Side, Tunnel, TunnelStart } from '../../src/relay/relay.ts'
import type { TunnelEnd } from '../../src/relay/tunnel-end.ts'

export type WatchedTunnel = Tunnel & { readonly ended: Promise<TunnelEnd> }

/** How a tunnel begins, save for who is told of its end. */
export type TunnelLimits = Omit<TunnelStart, 'listener'>

export function openTunnel(
  relay: Relay,
  client: Side,
  upstream: Side,
  limits: TunnelLimits,
): WatchedTunnel {
  const { promise: ended, resolve } = Promise.withResolvers<TunnelEnd>()
  const tunnel = relay(client, upstream, { ...limits, listener: { onEnd: resolve } })
  return Object.assign(tunnel, { ended })
}
