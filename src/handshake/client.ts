/** The client's end of an upgrade, whatever its connection is: what the steps of a handshake need of it. */

import type { HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'

export interface Client {
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  /** For what is written to it. To read it may cost: a connection that is no socket of node's becomes one then. */
  readonly socket: RelaySocket
  /** The connection while it is no socket of node's. */
  readonly held: HeldConnection | undefined
  /** The client reset the connection, closed it, or left in the middle of its body. */
  readonly gone: boolean
  /** The request has a body, and not all of it has gone on. */
  readonly hasBody: boolean
  /** A part of the body may have gone to an endpoint: no other one can have it. */
  readonly bodyBegun: boolean
  /** More of the body is due from the client, and the endpoint would take it. */
  readonly owesBody: boolean
  /** Whether the connection can carry another request after this answer. */
  readonly reusable: boolean
  /** At most one listener at a time; called once, at once when the client is gone already. `undefined` takes it away. */
  set onGone(listener: (() => void) | undefined)
  /**
   * Sends the request's body to `sink` as it comes, with back-pressure. `onBroken` is called when its framing turns out
   * to be wrong, `onProgress` whenever a part of it has gone on.
   */
  sendBody(sink: RelaySocket, onBroken: () => void, onProgress: () => void): void
  /** Ends the hold: the connection and what was held back of it, for a relay. Nothing of ours listens to it any more. */
  release(): Side
  /** After the answer: back to the parser where `reuse` says so, else a close that does not cut the answer off. */
  finish(reuse: boolean): void
  /** Closes the connection at once. */
  destroy(): void
}
