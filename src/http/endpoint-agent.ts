/**
 * The connections to one endpoint. They come from `dial`, which makes TCP, unix and TLS connections alike, or are streams of
 * shared ones, so for node's HTTP client every endpoint is plain `http:`; those that are idle wait here for the next request,
 * for a while.
 */

import { Agent, type ClientRequest, type ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Endpoint } from '../balance/endpoint.ts'
import { Refusal } from '../errors.ts'
import { dial, type Dialing } from '../handshake/dial.ts'
import { isShared, type OpenDone, type SharedConnections } from '../handshake/shared.ts'
import { ResponseFilter } from './response-filter.ts'

/** Idle connections that an endpoint may have. */
const IDLE_MAX = 64
/** Below the five seconds after which many servers close: a request that meets their FIN may be lost. */
const IDLE_MS = 4000

/** The key in the options of a request under which the agent finds who asks for a connection. */
export const kConnecting: unique symbol = Symbol('upgate.connecting')

/** A request that may need a new connection. */
export interface Connecting {
  readonly connectTimeoutMs: number
  /** What a new connection begins with. */
  readonly preface: Buffer | undefined
  /** Called when a new connection is begun, not when an idle one is used. */
  onDialing(dialing: Dialing): void
}

/** Carries the refusal of `dial` through node's HTTP client to the request's `error` event. */
export class DialError extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.details.cause ?? refusal.code)
    this.refusal = refusal
  }
}

export interface EndpointAgentOptions {
  /** For an endpoint that speaks HTTP/2. */
  readonly shared: SharedConnections
  /** Whether connections are kept for further requests. */
  readonly keepAlive: boolean
  readonly idleMax?: number
  readonly idleMs?: number
}

export class EndpointAgent extends Agent {
  readonly #endpoint: Endpoint
  readonly #shared: SharedConnections
  /** Of the connections that are not shared: what comes over those is written by the gateway itself. */
  readonly #filters = new WeakMap<Duplex, ResponseFilter>()
  #isClosed = false

  constructor(endpoint: Endpoint, options: EndpointAgentOptions) {
    super({
      keepAlive: options.keepAlive,
      maxFreeSockets: options.idleMax ?? IDLE_MAX,
      timeout: options.idleMs ?? IDLE_MS,
      // Node would work out a name for TLS for each request; that is `dial`'s.
      servername: '',
    } as ConstructorParameters<typeof Agent>[0])
    this.#endpoint = endpoint
    this.#shared = options.shared
  }

  override createConnection(
    options: ClientRequestArgs,
    onDone: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const { [kConnecting]: connecting } = options as unknown as Record<
      typeof kConnecting,
      Connecting
    >
    const dialing = this.#open(connecting, (result) => {
      if (result instanceof Refusal) {
        onDone(new DialError(result))
        return
      }
      // A head that goes out by itself has no encoding, and the default would turn its bytes above 0x7f into UTF-8.
      result.setDefaultEncoding('latin1')
      if (!isShared(result)) {
        const filter = new ResponseFilter(result)
        this.#filters.set(result, filter)
        filter.expect((options.method ?? 'GET').toUpperCase())
      }
      onDone(null, result)
    })
    connecting.onDialing(dialing)
  }

  #open(connecting: Connecting, onDone: OpenDone): Dialing {
    return this.#endpoint.http2 === undefined
      ? dial(this.#endpoint, connecting, onDone)
      : this.#shared.open(this.#endpoint, connecting, onDone)
  }

  override keepSocketAlive(socket: Duplex): boolean {
    if (this.#isClosed || this.#filters.get(socket)?.release() === false) return false
    return super.keepSocketAlive(socket) as unknown as boolean
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#filters.get(socket)?.expect(request.method)
    super.reuseSocket(socket, request)
  }

  /** Whether it has no connection at all. */
  get isUnused(): boolean {
    const lists = [...Object.values(this.sockets), ...Object.values(this.freeSockets)]
    return lists.every((sockets) => sockets === undefined || sockets.length === 0)
  }

  /** Closes the idle connections now and the others when their request is done. */
  close(): void {
    this.#isClosed = true
    for (const sockets of Object.values(this.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy()
    }
  }
}
