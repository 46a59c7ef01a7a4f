/** What the gateway itself listens at: two of its addresses must not be one, and no endpoint may be one of them. */

import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { networkInterfaces } from 'node:os'

import type { EndpointConfig, ListenerAddress } from './config.ts'
import { formatAddress } from './network.ts'
import type { Parts } from './parts.ts'
import type { Finding, Path } from './problem.ts'
import { formatPath } from './problem.ts'

interface Place {
  readonly path: Path
  readonly address: ListenerAddress
  readonly ipv6Only: boolean
}

/** Two listeners that would compete for one address. */
export function addressFindings(parts: Parts): Finding[] {
  const taken = new TakenAddresses()
  return placesOf(parts).flatMap((place) => {
    const { path } = place
    const earlier = taken.find(place)
    taken.add(place)
    if (earlier === undefined) return []
    const text = `is taken already by ${formatAddress(earlier.address)} of ${formatPath(earlier.path)}`
    return [{ path: [...path, 'address'], text }]
  })
}

/** Places so far. Those that overlap are of one kind, and of one port where they have ports. */
class TakenAddresses {
  /** Of each kind, by the host, path or name. */
  readonly #places = new Map<string, Map<string, Place>>()
  /** Those among them that overlap with others. */
  readonly #wildcards = new Map<string, Place[]>()

  find(place: Place): Place | undefined {
    const { address } = place
    const kind = kindOf(address)
    const places = this.#places.get(kind) ?? new Map<string, Place>()
    const same = places.get(ownOf(address))
    if (same !== undefined && overlap(same, place)) return same
    const others = isWildcard(address) ? places.values() : (this.#wildcards.get(kind) ?? [])
    for (const other of others) if (overlap(other, place)) return other
    return undefined
  }

  add(place: Place): void {
    const { address } = place
    const kind = kindOf(address)
    const places = this.#places.get(kind) ?? new Map<string, Place>()
    this.#places.set(kind, places)
    const own = ownOf(address)
    if (places.has(own)) return
    places.set(own, place)
    if (!isWildcard(address)) return
    this.#wildcards.set(kind, [...(this.#wildcards.get(kind) ?? []), place])
  }
}

function kindOf(address: EndpointConfig['address'] | ListenerAddress): string {
  return address.kind === 'tcp' ? `tcp ${address.port}` : address.kind
}

function ownOf(address: ListenerAddress): string {
  if (address.kind === 'systemd') return address.name ?? ''
  return address.kind === 'unix' ? address.path : address.host
}

function isWildcard(address: ListenerAddress): boolean {
  if (address.kind === 'systemd') return address.name === undefined
  return address.kind === 'tcp' && (address.host === '::' || address.host === '0.0.0.0')
}

/**
 * Endpoints that are the gateway: what is sent to them comes back. Wildcards take the addresses of this machine; names are
 * not looked up, apart from localhost.
 */
export function loopFindings(parts: Parts): Finding[] {
  const places = Map.groupBy(placesOf(parts), ({ address }) => kindOf(address))
  const ownAddresses = new Set(
    Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []),
  )
  return endpointsOf(parts).flatMap(({ path, address }) => {
    const place = places.get(kindOf(address))?.find((own) => reaches(address, own, ownAddresses))
    if (place === undefined) return []
    const text = `is the gateway itself (${formatPath(place.path)}): each request would come back`
    return [{ path, text }]
  })
}

function placesOf(parts: Parts): Place[] {
  const places: Place[] = parts.listeners
    .filter((part) => part.isWhole)
    .map(({ path, value: { address, ipv6Only } }) => ({ path, address, ipv6Only }))
  if (parts.admin?.isWhole === true && parts.admin.value !== 'off') {
    const { path, value } = parts.admin
    places.push({ path, address: value.address, ipv6Only: false })
  }
  return places
}

interface Located {
  readonly path: Path
  readonly address: EndpointConfig['address']
}

function endpointsOf({ upstreams, routes }: Parts): Located[] {
  return [
    ...upstreams.flatMap(({ path, value }) => listed([...path, 'endpoints'], value.endpoints)),
    ...routes.flatMap(({ path: at, value: { upstream } }): Located[] => {
      const path = [...at, 'upstream']
      if (Array.isArray(upstream)) return listed(path, upstream)
      return 'address' in upstream ? [{ path, address: upstream.address }] : []
    }),
  ]
}

function listed(path: Path, endpoints: readonly Pick<EndpointConfig, 'address'>[]): Located[] {
  return endpoints.map(({ address }, index) => ({ path: [...path, index], address }))
}

function overlap(one: Place, other: Place): boolean {
  const [a, b] = [one.address, other.address]
  if (a.kind === 'systemd' || b.kind === 'systemd') {
    // One without a name is for all that systemd passes.
    const isBoth = a.kind === 'systemd' && b.kind === 'systemd'
    return isBoth && (a.name === b.name || a.name === undefined || b.name === undefined)
  }
  if (a.kind === 'unix' || b.kind === 'unix') {
    return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  }
  // With port 0 the system picks a free one.
  if (a.port !== b.port || a.port === 0) return false
  if (a.host === b.host) return true
  return takesAll(a.host, one.ipv6Only, b.host) || takesAll(b.host, other.ipv6Only, a.host)
}

/** The wildcard of IPv6 takes IPv4 too, unless it is told not to. */
function takesAll(host: string, ipv6Only: boolean, other: string): boolean {
  const isIPv6Host = other.includes(':')
  return host === '::' ? isIPv6Host || !ipv6Only : host === '0.0.0.0' && !isIPv6Host
}

/** Whether a connection to the endpoint arrives at this place. */
function reaches(
  endpoint: EndpointConfig['address'],
  { address, ipv6Only }: Place,
  ownAddresses: ReadonlySet<string>,
): boolean {
  if (endpoint.kind === 'unix') return address.kind === 'unix' && address.path === endpoint.path
  if (endpoint.kind !== 'tcp' || address.kind !== 'tcp') return false
  if (endpoint.port !== address.port) return false
  if (endpoint.host.toLowerCase() === address.host.toLowerCase()) return true
  const bound = addressesOf(address.host)
  return addressesOf(endpoint.host).some(
    (each) =>
      bound.includes(each) || (isOwn(each, ownAddresses) && takesAll(address.host, ipv6Only, each)),
  )
}

function isOwn(address: string, ownAddresses: ReadonlySet<string>): boolean {
  return address.startsWith('127.') || address === '::1' || ownAddresses.has(address)
}

/** The addresses that a host stands for as far as its text tells; one that is unspecified connects to this machine. */
function addressesOf(host: string): readonly string[] {
  const lower = host.toLowerCase()
  if (lower === 'localhost') return ['127.0.0.1', '::1']
  if (lower === '0.0.0.0') return ['127.0.0.1']
  if (isIPv4(lower)) return [lower]
  if (!isIPv6(lower)) return []
  const { address } = new SocketAddress({ address: lower, family: 'ipv6' })
  const mapped = address.replace(/^::ffff:/, '')
  if (isIPv4(mapped)) return [mapped]
  return address === '::' ? ['::1'] : [address]
}
