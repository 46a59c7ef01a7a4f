/** Reads an answer in HTTP/1.1, as the gateway writes it to every client, and says what HTTP/2 makes of it (RFC 9113 8). */

import type { OutgoingHttpHeaders } from 'node:http2'
import { bodyScanner, responseFraming, type BodyScanner } from '../handshake/framing.ts'
import {
  parseFieldLines,
  parseResponseHead,
  type ResponseHead,
} from '../handshake/response-head.ts'
import { connectionSpecific, headersOf } from '../http2/fields.ts'

/** Above what an endpoint may send, with what the gateway adds. */
const HEAD_BYTES_MAX = 1_048_576

export interface AnswerSink {
  /** An informational answer (1xx). */
  onInformation(headers: OutgoingHttpHeaders): void
  /** The final one. */
  onHead(headers: OutgoingHttpHeaders, rest: 'nothing' | 'body' | 'body and trailers'): void
  onData(bytes: Buffer): void
  /** The answer is whole. */
  onWhole(trailers: OutgoingHttpHeaders): void
}

/** RFC 9113 8.2.2 and, behind a 101, RFC 8441 5: what is for an HTTP/1.1 connection alone. Node throws for most of them. */
const NOT_OVER_HTTP2: ReadonlySet<string> = new Set([
  ...connectionSpecific,
  'te',
  'http2-settings',
  'sec-websocket-accept',
])

export class AnswerReader {
  readonly #method: string
  readonly #sink: AnswerSink
  #text = ''
  /** Once the head is there. */
  #body: BodyScanner | undefined
  #isChunked = false
  /** The final head is there. */
  isBegun = false
  /** It was a 101: what follows has no end of its own. */
  isSwitched = false
  isWhole = false

  constructor(method: string, sink: AnswerSink) {
    this.#method = method
    this.#sink = sink
  }

  /** Whether nothing is missing if nothing more comes. */
  get mayEnd(): boolean {
    return this.isWhole || this.isSwitched || (this.isBegun && this.#body === undefined)
  }

  /** Throws for what is no answer: that is a defect of the gateway. */
  push(chunk: Buffer): void {
    const bytes = this.isBegun ? chunk : this.#readHeads(chunk)
    if (bytes.length === 0 || this.isWhole) return
    if (this.#body === undefined) {
      this.#sink.onData(bytes)
      return
    }
    const onData = (content: Buffer): void => this.#sink.onData(content)
    if (this.#body.scan(bytes, onData) === undefined)
      throw new Error('an answer with broken chunks')
    this.#endIfDone(this.#body)
  }

  /** Returns what came behind the final head. */
  #readHeads(chunk: Buffer): Buffer {
    this.#text += chunk.toString('latin1')
    while (!this.isBegun) {
      const parsed = parseResponseHead(this.#text, HEAD_BYTES_MAX)
      if (parsed === undefined) return Buffer.alloc(0)
      if ('wrong' in parsed) throw new Error(`an answer with ${parsed.wrong}`)
      this.#text = this.#text.slice(parsed.bytes)
      this.#begin(parsed.head)
    }
    const rest = Buffer.from(this.#text, 'latin1')
    this.#text = ''
    return rest
  }

  #begin({ status, fields }: ResponseHead): void {
    if (status === 101) {
      this.isBegun = true
      this.isSwitched = true
      this.#sink.onHead({ ':status': 200, ...headersOf(fields, NOT_OVER_HTTP2) }, 'body')
      return
    }
    const headers = { ':status': status, ...headersOf(fields, NOT_OVER_HTTP2) }
    if (status < 200) {
      this.#sink.onInformation(headers)
      return
    }
    const framing = responseFraming(this.#method, status, fields)
    if (framing === undefined) throw new Error('an answer with two lengths')
    this.isBegun = true
    // RFC 9110 15.3.6: a 205 has no content, and none may go out in HTTP/2.
    const isEmpty = framing.kind === 'none' || status === 205
    this.#isChunked = framing.kind === 'chunked'
    if (framing.kind !== 'close') this.#body = bodyScanner(framing)
    if (isEmpty) this.#sink.onHead(headers, 'nothing')
    else this.#sink.onHead(headers, this.#isChunked ? 'body and trailers' : 'body')
    if (isEmpty) this.isWhole = true
  }

  #endIfDone(body: BodyScanner): void {
    if (!body.done) return
    this.isWhole = true
    const lines = this.#isChunked ? body.trailers.split('\r\n').slice(0, -1) : []
    const fields = parseFieldLines(lines)
    this.#sink.onWhole(typeof fields === 'string' ? {} : headersOf(fields, NOT_OVER_HTTP2))
  }
}
