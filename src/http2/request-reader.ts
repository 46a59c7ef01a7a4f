/** Reads a request in HTTP/1.1, as the gateway writes it to every endpoint, and says what HTTP/2 makes of it (RFC 9113 8, RFC 8441 5). */

import type { Fields } from '../errors.ts'
import { requestFraming } from '../http1/framing.ts'
import { parseFieldLines } from '../http1/response-head.ts'
import { fieldValue } from '../request/headers.ts'
import { connectionSpecific } from './fields.ts'
import { OutgoingBody, type BodySink } from './outgoing-body.ts'

/** What opens a stream. */
export interface StreamHead {
  readonly method: string
  /** Names and values, with the pseudo-header fields. */
  readonly headers: readonly string[]
  /** An extended CONNECT for a WebSocket: what follows has no end of its own. */
  readonly connects: boolean
  /** The client's key, which HTTP/2 does not carry. */
  readonly websocketKey: string | undefined
  readonly rest: 'nothing' | 'body' | 'body and trailers'
}

export interface RequestSink extends BodySink {
  onHead(head: StreamHead): void
}

const HEAD_END = '\r\n\r\n'

/** `host` is `:authority`, and `te` is said anew: the gateway drops no trailers (RFC 9110 10.1.4). */
const NOT_OVER_HTTP2: ReadonlySet<string> = new Set([
  ...connectionSpecific,
  'host',
  'te',
  'http2-settings',
])

export class RequestReader {
  readonly #scheme: 'http' | 'https'
  readonly #sink: RequestSink
  #text = ''
  /** Once the head is there. */
  #body: OutgoingBody | undefined

  /** `scheme`: of the connection to the endpoint. */
  constructor(scheme: 'http' | 'https', sink: RequestSink) {
    this.#scheme = scheme
    this.#sink = sink
  }

  /** Whether nothing is missing if nothing more comes. */
  get mayEnd(): boolean {
    return this.#body?.mayEnd === true
  }

  /** Throws for what is no request: that is a defect of the gateway. */
  push(chunk: Buffer): void {
    const rest = this.#body === undefined ? this.#readHead(chunk) : chunk
    this.#body?.push(rest)
  }

  /** Returns what came behind the head. */
  #readHead(chunk: Buffer): Buffer {
    this.#text += chunk.toString('latin1')
    const end = this.#text.indexOf(HEAD_END)
    if (end === -1) return Buffer.alloc(0)
    const [requestLine = '', ...lines] = this.#text.slice(0, end).split('\r\n')
    const rest = Buffer.from(this.#text.slice(end + HEAD_END.length), 'latin1')
    this.#text = ''
    const fields = parseFieldLines(lines)
    if (typeof fields === 'string') throw new Error(`a request whose ${fields}`)
    this.#begin(requestLine, fields)
    return rest
  }

  #begin(requestLine: string, fields: Fields): void {
    const [method = '', target = ''] = requestLine.split(' ')
    const line = { method, target, scheme: this.#scheme }
    if (fieldValue(fields, 'upgrade') !== undefined) {
      this.#body = new OutgoingBody({ kind: 'close' }, this.#sink, NOT_OVER_HTTP2)
      this.#sink.onHead(connectHead(line, fields))
      return
    }
    const framing = requestFraming(fields)
    this.#body = new OutgoingBody(framing, this.#sink, NOT_OVER_HTTP2)
    const withBody = framing.kind === 'chunked' ? 'body and trailers' : 'body'
    const rest = framing.kind === 'none' ? 'nothing' : withBody
    this.#sink.onHead({
      method,
      headers: [...pseudo(line, fields), 'te', 'trailers', ...regular(fields)],
      connects: false,
      websocketKey: undefined,
      rest,
    })
  }
}

interface RequestLine {
  readonly method: string
  readonly target: string
  readonly scheme: 'http' | 'https'
}

/** RFC 8441 4 and 5. It is a WebSocket: no other upgrade is sent over HTTP/2. */
function connectHead(line: RequestLine, fields: Fields): StreamHead {
  const headers = [
    ...pseudo({ ...line, method: 'CONNECT' }, fields),
    ':protocol',
    'websocket',
    ...regular(fields, 'sec-websocket-key'),
  ]
  return {
    method: line.method,
    headers,
    connects: true,
    websocketKey: fieldValue(fields, 'sec-websocket-key'),
    rest: 'body',
  }
}

/** RFC 9113 8.3.1 */
function pseudo({ method, target, scheme }: RequestLine, fields: Fields): string[] {
  const authority = fieldValue(fields, 'host') ?? ''
  const named = [':method', method, ':scheme', scheme, ':path', target]
  return authority === '' ? named : [...named, ':authority', authority]
}

function regular(fields: Fields, leftOut?: string): string[] {
  const kept: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = (fields[index] as string).toLowerCase()
    if (!NOT_OVER_HTTP2.has(name) && name !== leftOut) kept.push(name, fields[index + 1] as string)
  }
  return kept
}
