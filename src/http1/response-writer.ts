/** Writes responses in HTTP/1.1: the head, and the body behind it in the framing that the head says (RFC 9112 6 and 7). */

import type { Fields } from '../errors.ts'
import type { RelaySocket } from '../relay/relay.ts'
import type { ResponseStart } from './client.ts'

/** What would end a field line, or is no byte. Everything that comes from outside was checked: this is the last line of defence. */
const UNWRITABLE = /[^\t\x20-\x7e\x80-\xff]/
const CRLF = '\r\n'

/** A status line and fields, as bytes to be written in latin1. Throws for a reason or a value that would be more than one line. */
export function serializeHead(head: {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
}): string {
  if (UNWRITABLE.test(head.reason)) throw new Error('a reason phrase that cannot be written')
  return `HTTP/1.1 ${head.status} ${head.reason}\r\n${serializeFields(head.fields)}\r\n`
}

/** Field lines, each with its CRLF. Throws for a value that would be more than one line. */
export function serializeFields(fields: Fields): string {
  let text = ''
  for (let index = 0; index < fields.length; index += 2) {
    const value = fields[index + 1] as string
    if (UNWRITABLE.test(value)) throw new Error(`the field ${fields[index]} cannot be written`)
    text += `${fields[index]}: ${value}\r\n`
  }
  return text
}

export class ResponseWriter {
  /** Of the body's content, so far. */
  bytes = 0
  /** The client takes more again after `write` gave false. */
  onDrain: (() => void) | undefined
  /** The client's connection has taken all of the response. Called once, never before `end` returns. */
  onDone: (() => void) | undefined
  /** Nothing more is to be written. */
  hasEnded = false
  isDone = false
  readonly #socket: RelaySocket
  readonly #isChunked: boolean
  /** What was written and is not with the kernel yet. */
  #pending = 0

  /** Writes the head. Throws for fields that cannot be written, before anything is. */
  constructor(socket: RelaySocket, head: ResponseStart) {
    this.#socket = socket
    this.#isChunked = head.framing === 'chunked'
    const text = serializeHead(head)
    // What comes behind it in the same turn goes out with it, in one call.
    socket.cork()
    process.nextTick(uncork, socket)
    this.#put(text)
  }

  /** Content of the body; false when the client takes no more for the moment. Not for a response without a body. */
  write(content: Buffer): boolean {
    if (content.length === 0) return !this.#socket.writableNeedDrain
    this.bytes += content.length
    if (!this.#isChunked) return this.#put(content)
    this.#socket.cork()
    this.#put(`${content.length.toString(16)}\r\n`)
    this.#put(content)
    const hasRoom = this.#put(CRLF)
    this.#socket.uncork()
    return hasRoom
  }

  /** The body is whole. `trailers` go behind a chunked one. */
  end(trailers: Fields = []): void {
    if (this.#isChunked) this.#put(`0\r\n${serializeFields(trailers)}\r\n`)
    this.hasEnded = true
    if (this.#pending === 0) process.nextTick(this.#onWritten)
  }

  #put(bytes: Buffer | string): boolean {
    this.#pending += 1
    return typeof bytes === 'string'
      ? this.#socket.write(bytes, 'latin1', this.#onPut)
      : this.#socket.write(bytes, this.#onPut)
  }

  readonly #onPut = (error?: Error | null): void => {
    this.#pending -= 1
    if (error === null || error === undefined) this.#onWritten()
  }

  readonly #onWritten = (): void => {
    if (!this.hasEnded || this.#pending > 0 || this.isDone) return
    this.isDone = true
    this.onDone?.()
  }
}

function uncork(socket: RelaySocket): void {
  socket.uncork()
}
