/** A gateway of one route around a Forwarder, and both of its peers as raw sockets that the test reads and writes. */

import { STATUS_CODES } from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Endpoint, EndpointLease } from '../../src/balance/endpoint.ts'
import type { Address, FieldEdits, TimeoutsConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { sendAnswer } from '../../src/handshake/answer.ts'
import type { ForwardEnd } from '../../src/http/exchange.ts'
import { Forwarder } from '../../src/http/forward.ts'
import type { Client } from '../../src/http1/client.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import type { LostFields } from '../../src/outgoing/trailers.ts'
import { Http1Requests } from '../../src/listen/http1-requests.ts'
import type { RequestFacts, RequestHead } from '../../src/request/facts.ts'

/** One end of a raw connection. */
export class Peer {
  readonly socket: net.Socket
  /** All that came, in latin1. */
  received = ''
  hasEnded = false
  error: NodeJS.ErrnoException | undefined
  #wake: (() => void) | undefined

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
      this.#wake?.()
    })
    socket.on('end', () => {
      this.hasEnded = true
      this.#wake?.()
    })
    socket.on('error', (error) => {
      this.error = error
    })
    socket.on('close', () => this.#wake?.())
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** All that came so far, once it holds `wanted`, which is then taken away with everything before it. */
  async until(wanted: string): Promise<string> {
    for (let searched = 0; ;) {
      const at = this.received.indexOf(wanted, Math.max(0, searched - wanted.length))
      searched = this.received.length
      if (at >= 0) {
        const taken = this.received.slice(0, at + wanted.length)
        this.received = this.received.slice(at + wanted.length)
        return taken
      }
      if (this.socket.destroyed || this.hasEnded) {
        throw new Error(`ended before ${JSON.stringify(wanted)}: ${JSON.stringify(this.received)}`)
      }
      await this.#change()
    }
  }

  head(): Promise<string> {
    return this.until('\r\n\r\n')
  }

  /** All that comes until the peer's FIN or the close of the connection. */
  async rest(): Promise<string> {
    while (!this.socket.destroyed && !this.hasEnded) await this.#change()
    return this.received
  }

  async closed(): Promise<void> {
    while (!this.socket.destroyed) await this.#change()
  }

  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    return promise
  }
}

/** A listening socket; what it says is the test's to write. */
export class Upstream implements AsyncDisposable {
  readonly server: net.Server
  readonly peers: Peer[] = []
  readonly #waiting: ((peer: Peer) => void)[] = []
  #taken = 0

  constructor(server: net.Server) {
    this.server = server
    server.on('connection', (socket) => {
      this.peers.push(new Peer(socket))
      this.#serve()
    })
  }

  /** The next connection that no call of `next` has returned yet. */
  next(): Promise<Peer> {
    const { promise, resolve } = Promise.withResolvers<Peer>()
    this.#waiting.push(resolve)
    this.#serve()
    return promise
  }

  #serve(): void {
    const peer = this.peers[this.#taken]
    if (peer === undefined || this.#waiting.length === 0) return
    this.#taken += 1
    this.#waiting.shift()?.(peer)
  }

  get address(): Address {
    const { port } = this.server.address() as AddressInfo
    return { kind: 'tcp', host: '127.0.0.1', port }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.peers) socket.destroy()
    this.server.close()
    await once(this.server, 'close')
  }
}

export async function startUpstream(): Promise<Upstream> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new Upstream(server)
}

/** An address where nobody listens. */
export async function closedAddress(): Promise<Address> {
  const upstream = await startUpstream()
  const { address } = upstream
  await upstream[Symbol.asyncDispose]()
  return address
}

export class Lease implements EndpointLease {
  readonly endpoint: Endpoint
  readonly calls: string[] = []

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  succeeded(): void {
    this.calls.push('succeeded')
  }

  failed(): void {
    this.calls.push('failed')
  }

  timedOut(): void {
    this.calls.push('timedOut')
  }

  [Symbol.dispose](): void {
    this.calls.push('disposed')
  }
}

export interface GatewayOptions {
  readonly timeouts?: Partial<TimeoutsConfig>
  readonly lost?: LostFields
  readonly responseEdits?: FieldEdits
  /** Fields in place of the client's. */
  readonly fields?: readonly string[]
  readonly target?: string
}

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'upgrade', 'te', 'proxy-connection'])

const LIMITS = {
  headBytesMax: 65_536,
  headTimeoutMs: 5000,
  keepAliveTimeoutMs: 5000,
  halfClose: true,
}

export class Gateway implements AsyncDisposable {
  readonly server: net.Server
  readonly shared = new Http2Connections()
  readonly forwarder = new Forwarder(this.shared)
  readonly leases: Lease[] = []
  readonly attempts: string[] = []
  readonly requests: RequestHead[] = []
  readonly clients: Client[] = []
  /** Of the next requests. */
  endpoints: readonly Endpoint[]
  /** What happens to a request before it is forwarded. */
  onRequest: ((client: Client) => void) | undefined
  readonly #options: GatewayOptions
  readonly #http1: Http1Requests
  readonly #ends: (ForwardEnd | Refusal)[] = []
  readonly #closed: Promise<unknown>[] = []
  readonly #waiting: ((end: ForwardEnd | Refusal) => void)[] = []

  constructor(endpoints: readonly Endpoint[], options: GatewayOptions) {
    this.endpoints = endpoints
    this.#options = options
    const http1 = new Http1Requests({
      handlers: {
        request: (head, _connection, client) => void this.#serve(head, client),
        broken: ({ code }) => `HTTP/1.1 400 ${code}\r\nConnection: close\r\n\r\n`,
      },
      limits: () => LIMITS,
      describe: () => ({ peerAddress: '192.0.2.1', encrypted: false, localPort: 80 }),
      describeHeld: () => {
        throw new Error('no connection is held here')
      },
      lend: () => undefined,
      onSocket: () => {},
    })
    this.#http1 = http1
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      socket.on('close', () => resolve())
      this.#closed.push(promise)
      http1.accept(socket)
    })
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** How the next exchange ended that no call of `end` has told of yet. */
  end(): Promise<ForwardEnd | Refusal> {
    const end = this.#ends.shift()
    if (end !== undefined) return Promise.resolve(end)
    const { promise, resolve } = Promise.withResolvers<ForwardEnd | Refusal>()
    this.#waiting.push(resolve)
    return promise
  }

  async answered(): Promise<ForwardEnd> {
    const end = await this.end()
    if (end instanceof Refusal) throw new Error(`${end.code}: ${end.details.cause}`)
    return end
  }

  async refused(): Promise<Refusal> {
    const end = await this.end()
    if (end instanceof Refusal) return end
    throw new Error(`answered with ${end.status}`)
  }

  async #serve(head: RequestHead, client: Client): Promise<void> {
    this.requests.push(head)
    this.clients.push(client)
    this.onRequest?.(client)
    const end = await this.forwarder.forward({
      client,
      facts: { fields: head.fields } as unknown as RequestFacts,
      target: this.#options.target ?? head.target,
      fields: this.#options.fields ?? withoutHopByHop(head.fields),
      lost: this.#options.lost ?? { edits: { set: [], remove: [] } },
      responseEdits: this.#options.responseEdits ?? { set: [], remove: [] },
      timeouts: {
        connectMs: 5000,
        handshakeMs: 5000,
        responseMs: 5000,
        bodyMs: 5000,
        idleMs: 5000,
        lifetimeMs: Infinity,
        ...this.#options.timeouts,
      },
      acquire: (tried) => this.#acquire(tried),
      onAttempt: (endpoint) => this.attempts.push(endpoint.url),
    })
    if (end instanceof Refusal && end.code !== 'E_CLIENT_GONE') {
      giveCode(client, end)
    }
    client.finish()
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#ends.push(end)
    else waiting(end)
  }

  #acquire(tried: ReadonlySet<Endpoint>): EndpointLease | Refusal {
    const endpoint = this.endpoints.find((candidate) => !tried.has(candidate))
    if (endpoint === undefined) return new Refusal('E_ENDPOINT_NONE')
    const lease = new Lease(endpoint)
    this.leases.push(lease)
    return lease
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.forwarder.close()
    this.server.close()
    this.#http1.destroy()
    this.shared.destroy()
    await Promise.all(this.#closed)
  }
}

/** The code of a refusal as the body of its answer. */
function giveCode(client: Client, { status, code }: Refusal): void {
  if (client.responded) return
  const body = Buffer.from(code)
  const fields = ['content-length', String(body.length)]
  sendAnswer(client, { status, reason: STATUS_CODES[status] ?? '', fields, body })
}

function withoutHopByHop(raw: readonly string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] as string
    if (!HOP_BY_HOP.has(name.toLowerCase())) kept.push(name, raw[index + 1] as string)
  }
  return kept
}

export function endpointAt(address: Address): Endpoint {
  const url =
    address.kind === 'unix' ? `unix:${address.path}` : `http://${address.host}:${address.port}`
  return { id: url, url, address, tls: undefined, weight: 1, inUse: 0, up: true, draining: false }
}

export async function startGateway(
  upstreams: readonly (Upstream | Address | Endpoint)[],
  options: GatewayOptions = {},
): Promise<Gateway> {
  const endpoints = upstreams.map((upstream) => {
    if (upstream instanceof Upstream) return endpointAt(upstream.address)
    return 'url' in upstream ? upstream : endpointAt(upstream)
  })
  const gateway = new Gateway(endpoints, options)
  gateway.server.listen(0, '127.0.0.1')
  await once(gateway.server, 'listening')
  return gateway
}

export async function connectTo(gateway: Gateway): Promise<Peer> {
  const socket = net.connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  return new Peer(socket)
}
