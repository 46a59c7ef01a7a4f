/** Clients and endpoints that speak one version of HTTP, and look the same in both: what holds for one pair of versions is asked of all four. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { addAbortSignal, type Readable, type Writable } from 'node:stream'
import tls from 'node:tls'
import { WebSocketServer, type WebSocket } from 'ws'
import { resetSocket } from '../../src/relay/reset.ts'
import type { TestGateway } from './gateway.ts'
import { http2Client, type Http2Client } from './http2-client.ts'
import { deflateAnswer, deflateOffer, webSocketOver } from './http2-websocket.ts'
import { WsClient, wsClient } from './ws-server.ts'

export type HttpVersion = '1.1' | '2'

export interface Pair {
  readonly client: HttpVersion
  readonly endpoint: HttpVersion
  readonly isSecure: boolean
}

const VERSIONS = ['1.1', '2'] as const

/** Each version on each side, without TLS and with it on both. */
export const PAIRS: readonly (Pair & { readonly name: string })[] = [false, true].flatMap(
  (isSecure) =>
    VERSIONS.flatMap((client) =>
      VERSIONS.map((endpoint) => ({
        name: `${client} to ${endpoint}${isSecure ? ' over TLS' : ''}`,
        client,
        endpoint,
        isSecure,
      })),
    ),
)

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

/** For localhost and 127.0.0.1, and who has issued it. */
export const TLS_FILES = {
  'cert.pem': tlsFile('cert.pem'),
  'key.pem': tlsFile('key.pem'),
  'ca.pem': tlsFile('ca.pem'),
}
const TLS = { cert: TLS_FILES['cert.pem'], key: TLS_FILES['key.pem'] }

/** A listener of the config that takes both versions. */
export function listenerOf(isSecure: boolean): string {
  const how = isSecure ? 'tls: { cert: ./cert.pem, key: ./key.pem, http2: true }' : 'h2c: true'
  return `listeners: [{ address: "127.0.0.1:0", ${how} }]\n`
}

export type OnRequest = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>
export type OnWebSocket = (socket: WebSocket, path: string) => void | Promise<void>

export interface Endpoint extends AsyncDisposable {
  /** As an entry of `endpoints`. */
  readonly entry: string
  readonly url: string
  /** Connections so far. */
  readonly connections: number
}

export interface EndpointOptions extends Pick<Pair, 'endpoint' | 'isSecure'> {
  readonly onRequest?: OnRequest
  readonly onWebSocket?: OnWebSocket
  /** A free one unless given. */
  readonly port?: number
}

/** Takes the first subprotocol that it is offered, and permessage-deflate. Of HTTP/1.1 and HTTP/2 it knows one alone. */
export async function endpointOf(options: EndpointOptions): Promise<Endpoint> {
  const { endpoint: version, isSecure, onRequest = answer, onWebSocket = echo } = options
  const server =
    version === '2' ? http2Server(isSecure, onWebSocket) : http1Server(isSecure, onWebSocket)
  const sockets = new Set<Socket>()
  let connections = 0
  server.on('connection', (socket: Socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {})
  })
  const listener = (...asked: Parameters<OnRequest>): void => void onRequest(...asked)
  server.on('request', listener as never)
  server.on('checkContinue', listener as never)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const url = `${isSecure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    entry: `{ url: "${url}", http2: ${version === '2'} }`,
    url,
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function http1Server(isSecure: boolean, onWebSocket: OnWebSocket): http.Server | https.Server {
  const server = isSecure ? https.createServer(TLS) : http.createServer()
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: true })
  server.on('upgrade', (request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void onWebSocket(webSocket, request.url ?? '')
    })
  })
  return server
}

function http2Server(
  isSecure: boolean,
  onWebSocket: OnWebSocket,
): http2.Http2Server | http2.Http2SecureServer {
  const settings = { enableConnectProtocol: true }
  const server = isSecure
    ? http2.createSecureServer({ ...TLS, settings })
    : http2.createServer({ settings })
  server.on('sessionError', () => {})
  // Else node answers 405 as well.
  server.on('connect', () => {})
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    if (headers[':method'] !== 'CONNECT') return
    const protocol = headers['sec-websocket-protocol']?.toString().split(',')[0]
    const answered = deflateAnswer(headers['sec-websocket-extensions']?.toString())
    stream.respond({
      ':status': 200,
      ...(protocol === undefined ? {} : { 'sec-websocket-protocol': protocol }),
      ...(answered === undefined ? {} : { 'sec-websocket-extensions': answered.field }),
    })
    const end = { isServer: true, protocol, deflate: answered?.deflate }
    void onWebSocket(webSocketOver(stream, end), headers[':path'] ?? '')
  })
  return server
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  response.end(`${request.method} ${request.url}`)
}

function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

/** Breaks off in the middle of an answer, or before it: a reset of the connection, or of the stream. */
export function cut(response: ServerResponse): void {
  const { stream } = response as unknown as { readonly stream?: http2.ServerHttp2Stream }
  if (stream === undefined) resetSocket(response.socket as Socket)
  // By `close` node would end the stream in peace first.
  else addAbortSignal(AbortSignal.abort(), stream)
}

export interface Asked {
  readonly method?: string
  readonly headers?: http.OutgoingHttpHeaders
  /** Undefined: the caller writes and ends the body, if `hasBody`. */
  readonly body?: string | Buffer
  readonly hasBody?: boolean
  readonly trailers?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
}

export interface Exchange {
  /** The request's body. */
  readonly request: Writable
  /** Rejects when there is none. */
  readonly answer: Promise<Answer>
  /** Informational ones that came, without 100. */
  readonly informational: readonly { readonly status: number; readonly link: unknown }[]
  /** A 100 came. */
  readonly continued: Promise<unknown>
  /** Of the answer, once its body is read. */
  readonly trailers: Readonly<Record<string, unknown>>
  abort(): void
}

export interface WholeAnswer extends Omit<Answer, 'body'> {
  readonly body: Buffer
  readonly trailers: Readonly<Record<string, unknown>>
  readonly informational: Exchange['informational']
}

export interface WebSocketWish {
  readonly protocols?: readonly string[]
  readonly deflate?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

export abstract class TestClient implements AsyncDisposable {
  abstract begin(path: string, asked?: Asked): Exchange
  abstract webSocket(path: string, wish?: WebSocketWish): Promise<WsClient>
  abstract [Symbol.asyncDispose](): Promise<void>

  /** The whole answer to a whole request; rejects when it breaks off. */
  async ask(path: string, asked: Asked = {}): Promise<WholeAnswer> {
    const exchange = this.begin(path, asked)
    const { status, headers, body } = await exchange.answer
    const chunks: Buffer[] = []
    for await (const chunk of body) chunks.push(chunk as Buffer)
    const { trailers, informational } = exchange
    return { status, headers, body: Buffer.concat(chunks), trailers, informational }
  }
}

export async function clientOf(
  { port }: Pick<TestGateway, 'port'>,
  pair: Pair,
): Promise<TestClient> {
  const host = `127.0.0.1:${port}`
  if (pair.client === '1.1') return new Http1TestClient(host, pair.isSecure)
  const ca = TLS_FILES['ca.pem']
  const origin = `${pair.isSecure ? 'https' : 'http'}://${host}`
  return new Http2TestClient(await http2Client(origin, { ca }), pair.isSecure)
}

class Http1TestClient extends TestClient {
  readonly #host: string
  readonly #isSecure: boolean
  readonly #agent: http.Agent

  constructor(host: string, isSecure: boolean) {
    super()
    this.#host = host
    this.#isSecure = isSecure
    this.#agent = isSecure
      ? new https.Agent({ keepAlive: true })
      : new http.Agent({ keepAlive: true })
    if (!isSecure) return
    // Over a socket of its own TLS can be reset.
    this.#agent.createConnection = ({ host: name, port }) => {
      const socket = connect({ host: name ?? '', port: Number(port) })
      return tls.connect({ socket, host: name ?? '', ca: TLS_FILES['ca.pem'] })
    }
  }

  begin(path: string, asked: Asked = {}): Exchange {
    const { method = 'GET', headers = {}, body, hasBody = body !== undefined, trailers } = asked
    const [host, port] = this.#host.split(':')
    const request = (this.#isSecure ? https : http).request({
      host,
      port,
      path,
      method,
      agent: this.#agent,
      headers: {
        ...headers,
        ...(trailers === undefined ? {} : { trailer: Object.keys(trailers).join(', ') }),
      },
    })
    let answered: IncomingMessage | undefined
    const informational: { status: number; link: unknown }[] = []
    const response = Promise.withResolvers<Answer>()
    response.promise.catch(() => {})
    request.on('error', response.reject)
    request.on('information', ({ statusCode, headers: { link } }) => {
      if (statusCode !== 100) informational.push({ status: statusCode, link })
    })
    request.on('response', (message) => {
      answered = message
      response.resolve({ status: message.statusCode ?? 0, headers: message.headers, body: message })
    })
    const continued = new Promise((resolve) => request.on('continue', resolve))
    if (trailers !== undefined) request.addTrailers(trailers)
    if (hasBody) request.flushHeaders()
    if (body !== undefined || !hasBody) request.end(body)
    return {
      request,
      answer: response.promise,
      informational,
      continued,
      get trailers() {
        return answered?.trailers ?? {}
      },
      // A FIN alone is no farewell: the client may still read.
      abort() {
        if (request.socket !== null) resetSocket(request.socket)
      },
    }
  }

  webSocket(
    path: string,
    { protocols = [], deflate = false, headers: own = {} }: WebSocketWish = {},
  ): Promise<WsClient> {
    const url = `${this.#isSecure ? 'wss' : 'ws'}://${this.#host}${path}`
    const ca = TLS_FILES['ca.pem']
    return wsClient(url, protocols, { perMessageDeflate: deflate, ca, headers: own })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy()
  }
}

class Http2TestClient extends TestClient {
  readonly #client: Http2Client
  readonly #scheme: string

  constructor(client: Http2Client, isSecure: boolean) {
    super()
    this.#client = client
    this.#scheme = isSecure ? 'https' : 'http'
  }

  begin(path: string, asked: Asked = {}): Exchange {
    const { method = 'GET', headers = {}, body, hasBody = body !== undefined, trailers } = asked
    const stream = this.#client.session.request(
      { ':path': path, ':method': method, ...headers },
      { endStream: !hasBody, waitForTrailers: trailers !== undefined },
    )
    const informational: { status: number; link: unknown }[] = []
    const response = Promise.withResolvers<Answer>()
    response.promise.catch(() => {})
    let seen: Readonly<Record<string, unknown>> = {}
    stream.on('error', response.reject)
    stream.on('close', () => response.reject(new Error(`no answer: ${stream.rstCode}`)))
    stream.on('headers', (fields) => {
      if (fields[':status'] !== 100)
        informational.push({ status: Number(fields[':status']), link: fields['link'] })
    })
    stream.on('response', (fields) => {
      response.resolve({ status: Number(fields[':status']), headers: fields, body: stream })
    })
    stream.on('trailers', (fields) => {
      seen = fields
    })
    const continued = new Promise((resolve) => stream.on('continue', resolve as () => void))
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    if (body !== undefined) stream.end(body)
    return {
      request: stream,
      answer: response.promise,
      informational,
      continued,
      get trailers() {
        return seen
      },
      abort: () => void addAbortSignal(AbortSignal.abort(), stream),
    }
  }

  async webSocket(
    path: string,
    { protocols = [], deflate = false, headers: own = {} }: WebSocketWish = {},
  ): Promise<WsClient> {
    const offer = deflateOffer()
    const stream = this.#client.connect(path, {
      ...own,
      ':scheme': this.#scheme,
      ...(protocols.length > 0 ? { 'sec-websocket-protocol': protocols.join(', ') } : {}),
      ...(deflate ? { 'sec-websocket-extensions': offer.field } : {}),
    })
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    const status = Number(headers[':status'])
    if (status !== 200) throw new Error(`Unexpected server response: ${status}`)
    return new WsClient(
      webSocketOver(stream, {
        isServer: false,
        protocol: headers['sec-websocket-protocol']?.toString(),
        deflate: offer.accepted(headers['sec-websocket-extensions']?.toString()),
      }),
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]()
  }
}
