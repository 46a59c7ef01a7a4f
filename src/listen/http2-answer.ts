/** Reads an answer in HTTP/1.1, as the gateway writes it to every client, and says what HTTP/2 makes of it (RFC 9113 8). */

import type { OutgoingHttpHeaders } from 'node:http2'
import { responseFraming, type Framing } from '../http1/framing.ts'
import { parseResponseHead, type ResponseHead } from '../http1/response-head.ts'
import { connectionSpecific, headersOf } from '../http2/fields.ts'
import { OutgoingBody, type BodySink } from '../http2/outgoing-body.ts'

/** Above what an endpoint may send, with what the gateway adds. */
const HEAD_BYTES_MAX = 1_048_576

/** An HTTP/1.1 client gets what is above as it came; here it is an answer that breaks the protocol. */
const STATUS_MAX = 599

export interface AnswerSink extends BodySink {
  /** An informational answer (1xx). */
  onInformation(headers: OutgoingHttpHeaders): void
  /** The final one. */
  onHead(headers: OutgoingHttpHeaders, rest: 'nothing' | 'body' | 'body and trailers'): void
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
  /** Once the final head is there. */
  #body: OutgoingBody | undefined
  /** It was a 101: what follows has no end of its own. */
  isSwitched = false

  constructor(method: string, sink: AnswerSink) {
    this.#method = method
    this.#sink = sink
  }

  get isWhole(): boolean {
    return this.#body?.isWhole === true
  }

  /** Whether nothing is missing if nothing more comes. */
  get mayEnd(): boolean {
    return this.#body?.mayEnd === true
  }

  /** Throws for what is no answer: that is a defect of the gateway. */
  push(chunk: Buffer): void {
    const rest = this.#body === undefined ? this.#readHeads(chunk) : chunk
    this.#body?.push(rest)
  }

  /** Returns what came behind the final head. */
  #readHeads(chunk: Buffer): Buffer {
    this.#text += chunk.toString('latin1')
    while (this.#body === undefined) {
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
      this.isSwitched = true
      this.#body = new OutgoingBody({ kind: 'close' }, this.#sink, NOT_OVER_HTTP2)
      this.#sink.onHead({ ':status': 200, ...headersOf(fields, NOT_OVER_HTTP2) }, 'body')
      return
    }
    // RFC 9110 15: no such status is defined, and node's HTTP/2 sends none.
    if (status > STATUS_MAX) {
      this.#body = new OutgoingBody({ kind: 'none' }, this.#sink, NOT_OVER_HTTP2)
      this.#sink.onHead({ ':status': 502 }, 'nothing')
      return
    }
    const headers = { ':status': status, ...headersOf(fields, NOT_OVER_HTTP2) }
    if (status < 200) {
      this.#sink.onInformation(headers)
      return
    }
    const framing = responseFraming(this.#method, status, fields)
    if (framing === undefined) throw new Error('an answer with two lengths')
    // RFC 9110 15.3.6: a 205 has no content, and none may go out in HTTP/2.
    const body: Framing = status === 205 ? { kind: 'none' } : framing
    this.#body = new OutgoingBody(body, this.#sink, NOT_OVER_HTTP2)
    const withBody = body.kind === 'chunked' ? 'body and trailers' : 'body'
    this.#sink.onHead(headers, body.kind === 'none' ? 'nothing' : withBody)
  }
}
