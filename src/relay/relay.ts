/**
 * What a relay is: two connected sockets and what was read of them too early go in, a tunnel comes out whose end is told. From then on the sockets belong to the relay: nobody else reads, writes or closes them.
 */

import type { Socket } from 'node:net'
import type { TunnelEnd } from './tunnel-end.ts'

/** One peer's end of a tunnel to be. */
export interface Side {
  /** To read it may cost: a connection that is no socket of node's becomes one then. */
  readonly socket: Socket
  /** Bytes that were read from it already; they go to the other side first. */
  readonly unread: readonly Buffer[]
  /** Its FIN was read already (after `unread`). */
  readonly ended: boolean
  /**
   * For a relay that takes the descriptor over and closes `socket`: the connection keeps its place among those of its
   * listener until the returned function is called. Undefined where nobody counts.
   */
  readonly lend?: (() => () => void) | undefined
}

interface TunnelLimits {
  /** Milliseconds without a byte in either direction; `Infinity` for none. */
  readonly idleMs: number
  /** Milliseconds of life; `Infinity` for none. */
  readonly lifetimeMs: number
}

/** How a tunnel begins. */
export interface TunnelStart extends TunnelLimits {
  /** Latin1 that goes to the client before all else and counts for nobody: the 101. */
  readonly head: string
  readonly listener: TunnelListener
}

export interface TunnelListener {
  /** Called once, when both sockets are closed, and never before the tunnel is there. */
  onEnd(end: TunnelEnd): void
}

/** An open tunnel. The counters move while it is open. */
export interface Tunnel {
  /** Bytes read from the client. */
  readonly bytesUp: number
  /** Bytes read from the upstream. */
  readonly bytesDown: number
  /** Ends the tunnel from the gateway's side: FIN to both peers behind what is buffered for them, and a reset to whoever has not answered it after `graceMs`. */
  close(by: 'gateway' | 'admin', reason: TunnelEnd['reason'], graceMs: number): void
}

/** How long a peer may take to answer the FIN of a tunnel that the gateway ends, in milliseconds. */
export const CLOSE_GRACE_MS = 2000

export type Relay = (client: Side, upstream: Side, start: TunnelStart) => Tunnel
