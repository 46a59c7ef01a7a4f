/**
 * The connections to one endpoint. They come from `dial`, which makes TCP, unix and TLS connections alike, or are streams of
 * shared ones, so for node's HTTP client every endpoint is plain `http:`; those that are idle wait here for the next request,
 * for a while.
 */

import type { ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Endpoint } from '../balance/endpoint.ts'
import { Refusal } from '../errors.ts'
import { dial, type Dialing } from '../handshake/dial.ts'
import { isShared, type OpenDone, type SharedConnections } from '../handshake/shared.ts'
import { DialError, FilteredAgent } from './filtered-agent.ts'

/** Idle connections that an endpoint may have. */
const IDLE_MAX = 64

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

export interface EndpointAgentOptions {
  /** For an endpoint that speaks HTTP/2. */
  readonly shared: SharedConnections
  /** Whether connections are kept for further requests. */
  readonly keepAlive: boolean
  readonly idleMax?: number
  readonly idleMs?: number
}

export class EndpointAgent extends FilteredAgent {
  readonly #endpoint: Endpoint
  readonly #shared: SharedConnections

  constructor(endpoint: Endpoint, options: EndpointAgentOptions) {
    const { keepAlive, idleMax = IDLE_MAX, idleMs } = options
    super({ keepAlive, idleMax, idleMs })
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
      // What comes over a shared connection is written by the gateway itself.
      if (!isShared(result)) this.filter(result, options.method ?? 'GET')
      onDone(null, result)
    })
    connecting.onDialing(dialing)
  }

  #open(connecting: Connecting, onDone: OpenDone): Dialing {
    return this.#endpoint.http2 === undefined
      ? dial(this.#endpoint, connecting, onDone)
      : this.#shared.open(this.#endpoint, connecting, onDone)
  }

  /** Whether it has no connection at all. */
  get isUnused(): boolean {
    const lists = [...Object.values(this.sockets), ...Object.values(this.freeSockets)]
    return lists.every((sockets) => sockets === undefined || sockets.length === 0)
  }
}
