/**
 * What lies between node's HTTP/2 session and its connection, so that a frame may be sent that the session cannot send.
 *
 * On a connection's own handle nobody can do that: node takes the end of any write there for the end of the session's, and
 * aborts the process. To a stream in JavaScript a session writes as well, whole frames, all that it has in one go; so what
 * is written between two of its writes stands between two frames.
 */

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

export class Http2Transport extends Duplex {
  /** Fulfilled when the kernel has all that there was to write, or the connection is over. */
  readonly ended: Promise<void>
  readonly #socket: Socket
  #hasBegun = false
  #onRoom: (() => void) | undefined

  /** Takes over what is unread in `socket`, and destroys it with itself. */
  constructor(socket: Socket) {
    super()
    this.#socket = socket
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    socket.on('error', (error) => this.destroy(error))
    // Behind the client's FIN too: node would write to a session's stream that has ended, and throws then.
    socket.on('close', () => this.destroy())
    this.ended = new Promise((resolve) => {
      this.once('finish', resolve)
      this.once('close', resolve)
    })
  }

  /** The session has written; SETTINGS are the first of its frames, and must be that of the connection (RFC 9113 3.4). */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#socket.pause()
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#hasBegun = true
    this.#socket.write(chunk)
    this.#await(done)
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    this.#hasBegun = true
    this.#socket.cork()
    for (const { chunk } of chunks) this.#socket.write(chunk)
    this.#socket.uncork()
    this.#await(done)
  }

  #await(done: () => void): void {
    if (this.#socket.writableNeedDrain) this.#onRoom = done
    else done()
  }

  readonly #onDrain = (): void => {
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
  }

  override _final(done: () => void): void {
    this.#socket.end(() => done())
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
