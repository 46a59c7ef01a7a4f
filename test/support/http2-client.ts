/** A client that speaks HTTP/2, by node's own library. */

import { once } from 'node:events'
import http2, { type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'

export interface Http2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly trailers: IncomingHttpHeaders
  /** Those of informational answers. */
  readonly informational: readonly IncomingHttpHeaders[]
  /** 0 for a stream that ended in peace. */
  readonly rstCode: number
}

export interface AskOptions {
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly trailers?: OutgoingHttpHeaders
}

export class Http2Client implements AsyncDisposable {
  readonly session: http2.ClientHttp2Session

  constructor(session: http2.ClientHttp2Session) {
    this.session = session
    session.on('error', () => {})
  }

  /** The whole answer to a request. */
  async ask(path: string, { headers = {}, body, trailers }: AskOptions = {}): Promise<Http2Answer> {
    const stream = this.session.request(
      { ':path': path, ...headers },
      { endStream: body === undefined, waitForTrailers: trailers !== undefined },
    )
    stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}))
    if (body !== undefined) stream.end(body)
    return answerOf(stream)
  }

  /** Begins an extended CONNECT (RFC 8441). */
  connect(path: string, headers: OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const stream = this.session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'http',
        ':path': path,
        ':authority': 'gateway.test',
        'sec-websocket-version': '13',
        ...headers,
      },
      { endStream: false },
    )
    stream.on('error', () => {})
    return stream
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.session.destroyed) return
    this.session.destroy()
    await once(this.session, 'close')
  }
}

/** Connects to `origin`, and waits for the settings. */
export async function http2Client(
  origin: string,
  options: http2.SecureClientSessionOptions = {},
): Promise<Http2Client> {
  const client = new Http2Client(http2.connect(origin, options))
  await once(client.session, 'remoteSettings')
  return client
}

export async function answerOf(stream: http2.ClientHttp2Stream): Promise<Http2Answer> {
  const chunks: Buffer[] = []
  const informational: IncomingHttpHeaders[] = []
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders = {}
  stream.on('error', () => {})
  stream.on('headers', (more) => informational.push(more))
  stream.on('response', (head) => {
    headers = head
  })
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise((resolve) => stream.on('close', resolve))
  return {
    status: Number(headers[':status'] ?? 0),
    headers,
    body: Buffer.concat(chunks),
    trailers,
    informational,
    rstCode: stream.rstCode ?? 0,
  }
}
