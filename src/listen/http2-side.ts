/** The connections of one listener that speak HTTP/2. */

import type { Socket } from 'node:net'
import { Http2Connection, type Http2Handlers } from './http2-connection.ts'

export class Http2Side {
  readonly #highWaterMark: number
  readonly #handlers: Http2Handlers
  readonly #connections = new Set<Http2Connection>()
  #isLeaving = false

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
    if (this.#isLeaving) void connection.goAway()
  }

  /** `Http2Connection.goAway` for every connection; for those that still come as well, for which nobody waits. */
  async goAway(): Promise<void> {
    this.#isLeaving = true
    await Promise.all([...this.#connections].map((connection) => connection.goAway()))
  }

  /** Cuts what is left. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}
