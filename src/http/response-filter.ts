/**
 * Stands between a connection to an endpoint and node's HTTP client: reads each response with the reader that handshakes have, and
 * hands on what it has read, written anew. So node's parser understands every response as the rest of the gateway does.
 *
 *     idle --request--> head --> body --> whole --back to the agent--> idle
 *
 * Bytes that no request waits for close the connection: they would be taken for the response to the next one.
 */

import type { Duplex } from 'node:stream'
import { Refusal, type Fields } from '../errors.ts'
import { bodyScanner, type BodyScanner, type Framing } from '../http1/framing.ts'
import { responseHeadText, type ResponseHead } from '../http1/response-head.ts'
import { ResponseReader, type FinalHead } from '../http1/response-reader.ts'
import { serializeFields } from '../http1/response-writer.ts'
import { trailerFields } from '../http1/trailers.ts'
import { passedTrailers } from '../outgoing/trailers.ts'
import { unaskedSwitch } from './answer-head.ts'
import { withFraming } from './field-list.ts'

const CRLF = Buffer.from('\r\n')

/** Carries a refusal through node's HTTP client to the request's `error` event. */
export class ResponseError extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.details.cause ?? refusal.code)
    this.refusal = refusal
  }
}

export class ResponseFilter {
  readonly #socket: Duplex
  /** The socket's own, which fills what node's parser reads. */
  readonly #push: Duplex['push']
  #state: 'idle' | 'head' | 'body' | 'whole' | 'broken' = 'idle'
  #reader: ResponseReader | undefined
  #framing: Framing = { kind: 'none' }
  #scanner: BodyScanner | undefined

  /** `socket` is connected, and nobody has read from it. */
  constructor(socket: Duplex) {
    this.#socket = socket
    this.#push = socket.push.bind(socket)
    socket.push = this.#receive
  }

  /** A request of this method gets the connection, which is new or was released. */
  expect(method: string): void {
    this.#state = 'head'
    this.#reader = new ResponseReader(method, (head) => this.#give(responseHeadText(head)))
  }

  /** The request is over. Returns whether the connection can carry another one. */
  release(): boolean {
    const isUnused = this.#state === 'head' && this.#reader?.isUntouched === true
    if (this.#state !== 'whole' && !isUnused) return false
    this.#state = 'idle'
    return true
  }

  /** Takes the place of `push`: false has the socket wait until it is asked for more. */
  readonly #receive = (chunk: Buffer | null): boolean => {
    // Node knows what is missing then.
    if (chunk === null) return this.#push(null)
    switch (this.#state) {
      case 'idle':
        return this.#fail(broken('bytes that no request waits for'))
      case 'head':
        return this.#readHead(this.#reader as ResponseReader, chunk)
      case 'body':
        return this.#readBody(this.#scanner as BodyScanner, chunk)
      case 'whole':
        // The response still goes to the client; no other request goes over this connection.
        this.#state = 'broken'
        return false
      case 'broken':
        return false
    }
  }

  #readHead(reader: ResponseReader, chunk: Buffer): boolean {
    const read = reader.read(chunk.toString('latin1'))
    if (read === undefined) return true
    if (read instanceof Refusal) return this.#fail(read)
    if (read.head.status === 101) return this.#fail(unaskedSwitch())
    return this.#begin(read, chunk.subarray(chunk.length - read.rest.length))
  }

  #begin({ head, framing }: FinalHead, rest: Buffer): boolean {
    const scanner = bodyScanner(framing)
    this.#reader = undefined
    this.#framing = framing
    this.#scanner = scanner
    this.#state = 'body'
    const hasRoom = this.#give(responseHeadText(understood(head)))
    return rest.length > 0 || scanner.done ? this.#readBody(scanner, rest) : hasRoom
  }

  #readBody(scanner: BodyScanner, chunk: Buffer): boolean {
    const isChunked = this.#framing.kind === 'chunked'
    const content: Buffer[] = []
    const scanned = scanner.scan(chunk, isChunked ? (part) => content.push(part) : undefined)
    if (scanned === undefined) return this.#fail(broken('the chunked body is broken'))
    if (scanned.done) this.#state = scanned.bytes < chunk.length ? 'broken' : 'whole'
    if (!isChunked) {
      return this.#give(scanned.bytes < chunk.length ? chunk.subarray(0, scanned.bytes) : chunk)
    }
    if (scanned.done) {
      const trailers = trailerFields(scanner.trailers)
      if (typeof trailers === 'string') return this.#fail(broken(`a trailer: ${trailers}`))
      return this.#give(Buffer.concat([oneChunk(content), lastChunk(passedTrailers(trailers))]))
    }
    return content.length === 0 || this.#give(oneChunk(content))
  }

  #give(bytes: Buffer | string): boolean {
    if (this.#socket.destroyed) return false
    return bytes.length === 0 || this.#push(bytes, 'latin1')
  }

  #fail(refusal: Refusal): boolean {
    this.#state = 'broken'
    this.#socket.destroy(new ResponseError(refusal))
    return false
  }
}

/** Node would wait for the body that a 204 says it has and has not. */
function understood(head: ResponseHead): ResponseHead {
  return head.status === 204
    ? { ...head, fields: withFraming(head.fields, undefined, undefined) }
    : head
}

/** Without extensions, and as one: node makes an event of each. */
function oneChunk(content: readonly Buffer[]): Buffer {
  if (content.length === 0) return Buffer.alloc(0)
  const bytes = content.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from(`${bytes.toString(16)}\r\n`), ...content, CRLF])
}

function lastChunk(trailers: Fields): Buffer {
  return Buffer.from(`0\r\n${serializeFields(trailers)}\r\n`, 'latin1')
}

function broken(cause: string): Refusal {
  return new Refusal('E_UPSTREAM_PROTOCOL', { cause })
}
