/** One member of an upstream: where it is, and how it does. */

import type { SecureContext } from 'node:tls'
import type { Address } from '../config/config.ts'
import type { Code } from '../errors.ts'
import type { LocalAddresses } from './local-addresses.ts'
import type { TlsSessions } from './tls-sessions.ts'

export interface Endpoint {
  /** Short, and the same in every process as long as the upstream and the URL are: for paths of the admin API. */
  readonly id: string
  /** The label in logs and metrics: the URL as written in the config. */
  readonly url: string
  readonly address: Address
  /** Set for https endpoints. */
  readonly tls: EndpointTls | undefined
  /** Set where it is spoken to by HTTP/2, over connections that all share. */
  readonly http2?: EndpointHttp2 | undefined
  /** Where connections to it come from, if it is no unix socket. The kernel picks where it is left out. */
  readonly local?: LocalAddresses | undefined
  /** What each connection to it begins with: a PROXY header that names one client, so that it is no other's. */
  readonly proxyProtocol?: 'v1' | 'v2' | undefined
  readonly weight: number
  /** Leases that are out: handshakes, tunnels and plain requests in progress. */
  readonly inUse: number
  /** False while it is set aside. */
  readonly up: boolean
  /** An operator is emptying it: it gets no new tunnels or requests. */
  readonly draining: boolean
}

/** How an endpoint is spoken to by HTTP/2. */
export interface EndpointHttp2 {
  /** Streams at once over one connection, whatever more the endpoint would take. */
  readonly streamsMax: number
  /** Open ones; counted by whoever connects. */
  connections: number
}

/** Of one endpoint alone, and another one after each change of its settings: what it holds can be resumed under no others. */
export interface EndpointTls {
  /** The name or address that its certificate is checked for. */
  readonly serverName: string
  /** Trusted authorities, our own certificate, and the least version. */
  readonly context: SecureContext
  /** Its certificate is not checked. */
  readonly insecure: boolean
  readonly sessions: TlsSessions
  /** Counted up by whoever connects; they go on when the settings change. */
  readonly handshakes: TlsHandshakes
}

/** Handshakes that were completed. */
export interface TlsHandshakes {
  full: number
  resumed: number
}

/** A place on an endpoint, held from the pick to the end of the tunnel or of the plain request. */
export interface EndpointLease extends Disposable {
  readonly endpoint: Endpoint
  /** The endpoint answered: it is healthy again. */
  succeeded(): void
  /** The endpoint refused, could not be reached or broke off: it is set aside for a while. */
  failed(code: Code): void
  /**
   * The endpoint accepted the request and did not answer in time. It is set aside only after several in a row without an
   * answer in between: one slow request shall not take an endpoint away from everybody.
   */
  timedOut(code: Code): void
}

/**
 * Makes `kept`, what is kept for each endpoint, that of `endpoints`: what belongs to a place that is among them goes on under its new
 * endpoint. Returns the others, which are gone from it.
 */
export function followed<T>(kept: Map<Endpoint, T>, endpoints: Iterable<Endpoint>): T[] {
  if (kept.size === 0) return []
  const before = Map.groupBy(kept, ([endpoint]) => placeOf(endpoint))
  kept.clear()
  for (const endpoint of endpoints) {
    const candidates = before.get(placeOf(endpoint)) ?? []
    const same = candidates.findIndex(([other]) => isSamePlace(other, endpoint))
    const [found] = same === -1 ? [] : candidates.splice(same, 1)
    if (found !== undefined) kept.set(endpoint, found[1])
  }
  return [...before.values()].flat().map(([, value]) => value)
}

/** Two endpoints that are one place have the same. TLS belongs to one place, and is another one after a change. */
function placeOf({ tls, address }: Endpoint): unknown {
  return tls ?? JSON.stringify(address)
}

/** Of two with the same `placeOf`: whether a connection to one may be used for the other. */
function isSamePlace(one: Endpoint, other: Endpoint): boolean {
  // Connections that come from other addresses are none of this one's.
  return one.http2 === other.http2 && one.local === other.local
}
