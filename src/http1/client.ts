/**
 * The client's end of one exchange, whatever its connection is: the request's body, what is written in answer, and whether
 * the client is still there. A connection has one exchange at a time; its next head is read when this one is over.
 */

import type { Fields } from '../errors.ts'
import type { HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'
import type { Framing } from './framing.ts'
import type { ResponseWriter } from './response-writer.ts'

/** The head of a response, for `Client.respond`. */
export interface ResponseStart {
  readonly status: number
  readonly reason: string
  /** With exactly the framing fields that `framing` says, and without Connection. */
  readonly fields: Fields
  /** Where the client sees the end of the body: `close` ends with the connection (HTTP/1.0 has no chunked coding). */
  readonly framing: 'none' | 'length' | 'chunked' | 'close'
  /** No request is served behind this one. */
  readonly closes?: boolean
}

/** Gets the body of a request. */
export interface BodyReader {
  onContent(content: Buffer): void
  /** All of it has come. */
  onBodyEnd(trailers: Fields): void
  /** Its framing is broken: nothing more comes, and nothing on the connection can be read any more. */
  onBodyBroken(): void
}

export interface Client {
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  /** Of the request's body. */
  readonly framing: Framing
  /** For what is written to it. To read it may cost: a connection that is no socket of node's becomes one then. */
  readonly socket: RelaySocket
  /** The connection while it is no socket of node's. */
  readonly held: HeldConnection | undefined
  /** The client has reset or closed the connection, or has ended it in a way that means so; see `endMeansGone`. */
  readonly gone: boolean
  /** How it went. */
  readonly goneBy: 'eof' | 'reset'
  /** A FIN behind the request means that the client has left. In the middle of a body it always does. */
  endMeansGone: boolean
  /** At most one listener at a time; called once, at once when the client is gone already. `undefined` takes it away. */
  set onGone(listener: (() => void) | undefined)
  /** The body has come, and was read, to its end; or there is none. */
  readonly bodyDone: boolean
  /** A part of the body was read: no second endpoint can have it. */
  readonly bodyBegun: boolean
  /** It sends its body when it is told to continue (RFC 9110 10.1.1). */
  readonly awaitsContinue: boolean
  /**
   * Gives the body, if there is one, to `reader` from its start on. Until then it waits, and so it does between `pauseBody`
   * and `resumeBody`.
   */
  readBody(reader: BodyReader): void
  pauseBody(): void
  resumeBody(): void
  /** Nobody reads the body any more; what is left of it is dropped before the connection goes on. */
  dropBody(): void
  /** Something came behind the request. */
  readonly hasAhead: boolean
  /** No request is served behind this one, whatever its response says. */
  endConnection(): void
  /** Whether a response has begun. */
  readonly responded: boolean
  /** RFC 9110 15.2: sends an informational response; not to HTTP/1.0, which has none. */
  inform(head: Omit<ResponseStart, 'framing' | 'closes'>): void
  /** Writes the head of the response; once. Throws for fields that cannot be written, before anything is. */
  respond(head: ResponseStart): ResponseWriter
  /** Hands over the connection and what was read ahead of it, for a tunnel. Nothing of ours listens to it any more. */
  release(): Side
  /**
   * The exchange is over. With a whole response the connection goes on to the next request, or closes in a way that lets the
   * client read it; without one it is cut. Without effect on a client that was released.
   */
  finish(): void
  /**
   * Closes the connection at once: the client is gone. With `byReset` it cannot take what it got for all there was.
   */
  destroy(byReset?: boolean): void
}
