/**
 * What a relay is: two connected sockets and what was read of them too early go in, a tunnel comes out whose end is told. From then on the sockets belong to the relay: nobody else reads, writes or closes them.
 */

import type { Duplex } from 'node:stream'
import type { TunnelEnd, TunnelReading } from './tunnel-end.ts'
import type { CloseFrame, OwnReason, TunnelPolicy } from './tunnel-policy.ts'

/** What a relay needs of a connection. Node's sockets have it, and so has a stream of HTTP/2. */
export interface RelaySocket extends Duplex {
  /** Has TCP look for a peer that is gone after `delayMs` of silence. */
  setKeepAlive(isOn: boolean, delayMs: number): unknown
  /** Ends it at once, so that the peer does not take what it got for all there was. */
  resetAndDestroy(): RelaySocket
}

/** One peer's end of a tunnel to be. */
export interface Side<S extends RelaySocket = RelaySocket> {
  /** To read it may cost: a connection that is no socket of node's becomes one then. */
  readonly socket: S
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

/** How a tunnel begins. */
export interface TunnelStart {
  /** Latin1 that goes to the client before all else and counts for nobody: the 101. */
  readonly head: string
  readonly policy: TunnelPolicy
  readonly listener: TunnelListener
}

export interface TunnelListener {
  /** Called once, when both sockets are closed, and never before the tunnel is there. */
  onEnd(end: TunnelEnd): void
}

/** How a tunnel is ended that did not end by itself. */
export interface Ending {
  /** Goes to both peers, each behind the frame that it is getting; undefined for a bare FIN, which tunnels without frames get anyway. */
  readonly frame: CloseFrame | undefined
  /** How long a peer may take to answer, and how long the end of a frame is waited for; then it is reset. */
  readonly timeoutMs: number
}

/** An open tunnel. The counters move while it is open. */
export interface Tunnel {
  /** Bytes read from the client. */
  readonly bytesUp: number
  /** Bytes read from the upstream. */
  readonly bytesDown: number
  /** All numbers at this moment. */
  read(): TunnelReading
  /**
   * Ends the tunnel from the gateway's side. With frames: a Close frame to both peers, behind what is buffered for them; nothing
   * else goes to a peer from then on, and its FIN when its own Close frame came. Else a FIN at once. Whoever has not closed after
   * `timeoutMs` is reset. A second call changes the time alone.
   */
  close(by: 'gateway' | 'admin', reason: OwnReason, ending: Ending): void
}

export type Relay = (client: Side, upstream: Side, start: TunnelStart) => Tunnel
