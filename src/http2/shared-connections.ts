/** The connections to all endpoints that share theirs. */

import { followed, type Endpoint } from '../balance/endpoint.ts'
import type { Dialing, DialOptions } from '../handshake/dial.ts'
import type { OpenDone, SharedConnections } from '../handshake/shared.ts'
import { EndpointConnections } from './endpoint-connections.ts'

export class Http2Connections implements SharedConnections {
  readonly #known = new Map<Endpoint, EndpointConnections>()
  /** Of endpoints that are gone: they are closed when their last stream is over. */
  readonly #closing = new Set<EndpointConnections>()

  /** See `SharedConnections`. Throws for an endpoint without `http2`. */
  open(endpoint: Endpoint, options: DialOptions, onDone: OpenDone): Dialing {
    return this.#of(endpoint).open(options, onDone)
  }

  /** The endpoints of a new config. Connections to places that are among them are used further; others are closed when their last stream is over. */
  follow(endpoints: Iterable<Endpoint>): void {
    for (const connections of followed(this.#known, endpoints)) this.#retire(connections)
  }

  /** Each connection is closed when its last stream is over. */
  close(): void {
    for (const connections of this.#known.values()) this.#retire(connections)
    this.#known.clear()
  }

  /** Cuts what is left. */
  destroy(): void {
    this.close()
    for (const connections of this.#closing) connections.destroy()
    this.#closing.clear()
  }

  #of(endpoint: Endpoint): EndpointConnections {
    const known = this.#known.get(endpoint)
    if (known !== undefined) return known
    const { http2 } = endpoint
    if (http2 === undefined) throw new Error(`${endpoint.url} does not share its connections`)
    const connections = new EndpointConnections(endpoint, http2)
    this.#known.set(endpoint, connections)
    return connections
  }

  #retire(connections: EndpointConnections): void {
    for (const one of this.#closing) if (one.isUnused) this.#closing.delete(one)
    connections.close()
    if (!connections.isUnused) this.#closing.add(connections)
  }
}
