/** An endpoint that speaks HTTP/2 and nothing else, by node's own library: plain requests, and WebSockets by extended CONNECT (RFC 8441). */

import { once } from 'node:events'
import http2, {
  type Http2Server,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { WebSocket } from 'ws'
import { webSocketOver } from './http2-websocket.ts'

/** A stream as it was opened. */
export interface OpenedStream {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  /** Names and values, in the order in which they came. */
  readonly fields: readonly string[]
}

export interface Http2ServerOptions {
  /** TLS with ALPN; HTTP/2 with prior knowledge when left out. */
  readonly tls?: SecureServerOptions
  readonly settings?: Settings
  /** Gets every stream; without it WebSockets are echoed and requests answered with their path. */
  readonly onStream?: (opened: OpenedStream) => void
}

export class Http2Endpoint implements AsyncDisposable {
  readonly url: string
  /** All connections that ever came. */
  readonly sessions: ServerHttp2Session[] = []
  /** All streams that ever came. */
  readonly streams: OpenedStream[] = []
  readonly #server: Http2Server

  constructor(server: Http2Server, isSecure: boolean, onStream: (opened: OpenedStream) => void) {
    const { port } = server.address() as AddressInfo
    this.url = `${isSecure ? 'https' : 'http'}://127.0.0.1:${port}`
    this.#server = server
    server.on('session', (session) => {
      session.on('error', () => {})
      this.sessions.push(session)
    })
    server.on('stream', (stream, headers, _flags, fields: string[]) => {
      stream.on('error', () => {})
      const opened = { stream, headers, fields }
      this.streams.push(opened)
      onStream(opened)
    })
  }

  /** Connections that are open. */
  get openSessions(): readonly ServerHttp2Session[] {
    return this.sessions.filter((session) => !session.destroyed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const session of this.sessions) session.destroy()
    await closed
  }
}

export async function http2Endpoint({
  tls,
  settings = { enableConnectProtocol: true },
  onStream = answer,
}: Http2ServerOptions = {}): Promise<Http2Endpoint> {
  const server =
    tls === undefined
      ? http2.createServer({ settings })
      : http2.createSecureServer({ settings, ...tls })
  server.on('error', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new Http2Endpoint(server, tls !== undefined, onStream)
}

function answer({ stream, headers }: OpenedStream): void {
  if (headers[':method'] === 'CONNECT') {
    acceptWebSocket(stream, {}).on('message', function (this: WebSocket, data, isBinary) {
      this.send(data, { binary: isBinary })
    })
    return
  }
  stream.respond({ ':status': 200, 'content-type': 'text/plain' })
  stream.end(String(headers[':path']))
}

/** Says yes, and speaks WebSocket over the stream from then on. */
export function acceptWebSocket(
  stream: ServerHttp2Stream,
  headers: Record<string, string>,
): WebSocket {
  stream.respond({ ':status': 200, ...headers })
  return webSocketOver(stream, { isServer: true })
}
