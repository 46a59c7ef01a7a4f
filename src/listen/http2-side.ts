/** The connections of one listener that speak HTTP/2. */

import type { Socket } from 'node:net'
import { Http2Connection, type Http2Handlers } from './http2-connection.ts'

export class Http2Side {
  readonly #highWaterMark: number
  readonly #handlers: Http2Handlers
  readonly #connections = new Set<Http2Connection>()

  /** `highWaterMark`: of what may be held for a stream, each way. */
  constructor(highWaterMark: number, handlers: Http2Handlers) {
    this.#highWaterMark = highWaterMark
    this.#handlers = handlers
  }

  /** A client whose preface comes next, or is unread in its socket. */
  accept(socket: Socket): void {
    const connection = new Http2Connection(socket, this.#highWaterMark, this.#handlers)
    this.#connections.add(connection)
    connection.onceClosed(() => this.#connections.delete(connection))
  }

  /** No connection takes another stream. */
  goAway(): void {
    for (const connection of this.#connections) connection.goAway()
  }

  /** Cuts what is left. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}
