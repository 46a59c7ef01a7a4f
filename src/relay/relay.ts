/**
 * What a relay is: two connected sockets and what was read of them too early go in, a tunnel with the promise of its
 * end comes out. From then on the sockets belong to the relay: nobody else reads, writes or closes them.
 */

import type { Socket } from 'node:net'
import type { TunnelEnd } from './tunnel-end.ts'

/** One peer's end of a tunnel to be. */
export interface Side {
  readonly socket: Socket
  /** Bytes that were read from it already; they go to the other side first. */
  readonly unread: readonly Buffer[]
  /** Its FIN was read already (after `unread`). */
  readonly ended: boolean
}

export interface TunnelLimits {
  /** Milliseconds without a byte in either direction; `Infinity` for none. */
  readonly idleMs: number
  /** Milliseconds of life; `Infinity` for none. */
  readonly lifetimeMs: number
}

/** An open tunnel. The counters move while it is open. */
export interface Tunnel {
  /** Bytes read from the client. */
  readonly bytesUp: number
  /** Bytes read from the upstream. */
  readonly bytesDown: number
  /** Fulfilled once, when both sockets are closed; it never rejects. */
  readonly ended: Promise<TunnelEnd>
  /** Ends the tunnel from the gateway's side: FIN to both peers behind what is buffered for them, and a reset to whoever has not answered it after `graceMs`. */
  close(by: 'gateway' | 'admin', reason: TunnelEnd['reason'], graceMs: number): void
}

/** How long a peer may take to answer the FIN of a tunnel that the gateway ends, in milliseconds. */
export const CLOSE_GRACE_MS = 2000

export type Relay = (client: Side, upstream: Side, limits: TunnelLimits) => Tunnel
