/** The server's end of SPDY/3.1 as far as streams of bytes need it: fields are neither read nor written, and nobody counts a window. */

import type { Socket } from 'node:net'

export interface SpdyHandlers {
  /** The client has opened a stream. */
  opened(stream: number): void
  data(stream: number, bytes: Buffer, isLast: boolean): void
}

const HEAD_BYTES = 8
const SYN_STREAM = 1
const SYN_REPLY = 2
const PING = 6
const FIN = 1

/** An empty list of fields, stored as it is (RFC 1951 3.2.4), and the empty block that flushes it. RFC 1950 2.2 goes before the first. */
const ZLIB_BEGIN = Buffer.from([0x78, 0x9c])
const NO_FIELDS = Buffer.from([0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])

export class SpdyServer {
  readonly #socket: Socket
  readonly #handlers: SpdyHandlers
  #received = Buffer.alloc(0)
  #replied = false

  constructor(socket: Socket, handlers: SpdyHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    socket.on('data', (chunk: Buffer) => this.read(chunk))
    socket.on('end', () => socket.end())
    socket.on('error', () => {})
  }

  read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    for (;;) {
      if (this.#received.length < HEAD_BYTES) return
      const end = HEAD_BYTES + this.#received.readUIntBE(5, 3)
      if (this.#received.length < end) return
      const frame = this.#received.subarray(0, end)
      this.#received = this.#received.subarray(end)
      this.#onFrame(frame)
    }
  }

  #onFrame(frame: Buffer): void {
    const isControl = frame.readUInt16BE(0) === 0x8003
    if (!isControl) {
      const isLast = ((frame[4] as number) & FIN) !== 0
      this.#handlers.data(frame.readUInt32BE(0), frame.subarray(HEAD_BYTES), isLast)
      return
    }
    const type = frame.readUInt16BE(2)
    if (type === PING) this.#socket.write(frame)
    if (type !== SYN_STREAM) return
    const stream = frame.readUInt32BE(HEAD_BYTES)
    this.#reply(stream)
    this.#handlers.opened(stream)
  }

  #reply(stream: number): void {
    // All fields of a connection are one zlib stream.
    const fields = this.#replied ? NO_FIELDS : Buffer.concat([ZLIB_BEGIN, NO_FIELDS])
    this.#replied = true
    const head = Buffer.alloc(HEAD_BYTES + 4)
    head.writeUInt16BE(0x8003, 0)
    head.writeUInt16BE(SYN_REPLY, 2)
    head.writeUIntBE(4 + fields.length, 5, 3)
    head.writeUInt32BE(stream, HEAD_BYTES)
    this.#socket.write(Buffer.concat([head, fields]))
  }

  /** Writes the last bytes of a stream. */
  end(stream: number, bytes: Buffer): void {
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32BE(stream, 0)
    head[4] = FIN
    head.writeUIntBE(bytes.length, 5, 3)
    this.#socket.write(Buffer.concat([head, bytes]))
  }
}
