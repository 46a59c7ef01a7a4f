/** Connections of node's HTTP client over which nothing comes that the gateway's own reader has not read; see `response-filter.ts`. */

import { Agent, type ClientRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Refusal } from '../errors.ts'
import { ResponseFilter } from './response-filter.ts'

/** Below the five seconds after which many servers close: a request that meets their FIN may be lost. */
const IDLE_MS = 4000

/** Carries the refusal of `dial` through node's HTTP client to the request's `error` event. */
export class DialError extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.details.cause ?? refusal.code)
    this.refusal = refusal
  }
}

export interface FilteredAgentOptions {
  /** Whether connections are kept for further requests. */
  readonly keepAlive: boolean
  readonly connectionsMax?: number
  readonly idleMax: number
  readonly idleMs?: number | undefined
}

export abstract class FilteredAgent extends Agent {
  readonly #filters = new WeakMap<Duplex, ResponseFilter>()
  #isClosed = false

  constructor({ keepAlive, connectionsMax, idleMax, idleMs }: FilteredAgentOptions) {
    super({
      keepAlive,
      ...(connectionsMax === undefined ? {} : { maxSockets: connectionsMax }),
      maxFreeSockets: idleMax,
      timeout: idleMs ?? IDLE_MS,
      // Node would work out a name for TLS for each request; that is `dial`'s.
      servername: '',
    } as ConstructorParameters<typeof Agent>[0])
  }

  /** `socket` is connected, and nobody has read from it: it is for a request of this method. */
  protected filter(socket: Duplex, method: string): void {
    const filter = new ResponseFilter(socket)
    this.#filters.set(socket, filter)
    filter.expect(method.toUpperCase())
  }

  override keepSocketAlive(socket: Duplex): boolean {
    if (this.#isClosed || this.#filters.get(socket)?.release() === false) return false
    return super.keepSocketAlive(socket) as unknown as boolean
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#filters.get(socket)?.expect(request.method)
    super.reuseSocket(socket, request)
  }

  /** Closes the idle connections now and the others when their request is done. */
  close(): void {
    this.#isClosed = true
    for (const sockets of Object.values(this.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy()
    }
  }
}
