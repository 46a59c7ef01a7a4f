/** What no part of the configuration can tell alone: whether the parts fit together. */

import { authFindings } from './auth-checks.ts'
import type { ListenerAddress } from './config.ts'
import { fileChecks } from './file-checks.ts'
import { clientCertFindings, listenerFindings } from './listener-checks.ts'
import { formatAddress, isLoopback } from './network.ts'
import type { Part, Parts } from './parts.ts'
import type { Finding, Path } from './problem.ts'
import { formatPath } from './problem.ts'
import { routeFindings } from './route-checks.ts'
import type { Admin } from './schema.ts'
import { upstreamFindings, upstreamWarnings } from './upstream-checks.ts'

export interface Checked {
  readonly findings: readonly Finding[]
  /** What is allowed, but hardly meant. */
  readonly warnings: readonly Finding[]
}

/** `directory` is the one that relative files start from. */
export function crossChecks(parts: Parts, directory: string): Checked {
  const auth = authFindings(parts.auth)
  const files = fileChecks(parts, directory)
  return {
    findings: [
      ...addressFindings(parts),
      ...parts.listeners.flatMap(listenerFindings),
      ...adminFindings(parts.admin),
      ...proxyFindings(parts),
      ...clientCertFindings(parts),
      ...parts.upstreams.flatMap(upstreamFindings),
      ...auth.findings,
      ...routeFindings(parts),
      ...files.findings,
    ],
    warnings: [
      ...adminWarnings(parts.admin),
      ...parts.upstreams.flatMap(upstreamWarnings),
      ...auth.warnings,
      ...files.warnings,
    ],
  }
}

/** Options that the address cannot have. */
function adminFindings(part: Part<Admin> | undefined): Finding[] {
  if (part === undefined || part.value === 'off' || part.value.address.kind === 'unix') return []
  const { path, value } = part
  return (['mode', 'owner'] as const)
    .filter((key) => value[key] !== undefined)
    .map((key) => ({ path: [...path, key], text: 'is for unix sockets' }))
}

/** Who binds it for others than this machine may think that they can use all of it. */
function adminWarnings(part: Part<Admin> | undefined): Finding[] {
  if (part === undefined || part.value === 'off') return []
  if (part.value.token !== undefined || isLoopback(part.value.address)) return []
  const text = 'without admin.token the API answers this machine alone'
  return [{ path: [...part.path, 'address'], text }]
}

/** Who is believed nothing can tell of nobody. */
function proxyFindings({ listeners, trustedProxies }: Parts): Finding[] {
  if (trustedProxies?.isWhole !== true || trustedProxies.value.length > 0) return []
  const text =
    'no proxy is trusted to say whose connection it is; expected trustedProxies with its addresses'
  return listeners
    .filter(({ value }) => value.proxyProtocol !== 'off')
    .map(({ path }) => ({ path: [...path, 'proxyProtocol'], text }))
}

/** Two listeners that would compete for one address. */
function addressFindings(parts: Parts): Finding[] {
  const places: Place[] = parts.listeners
    .filter((part) => part.isWhole)
    .map(({ path, value: { address, ipv6Only } }) => ({ path, address, ipv6Only }))
  if (parts.admin?.isWhole === true && parts.admin.value !== 'off') {
    const { path, value } = parts.admin
    places.push({ path, address: value.address, ipv6Only: false })
  }
  return places.flatMap((place, index) => {
    const { path } = place
    const earlier = places.slice(0, index).find((other) => overlap(other, place))
    if (earlier === undefined) return []
    const taken = `${formatAddress(earlier.address)} of ${formatPath(earlier.path)}`
    return [{ path: [...path, 'address'], text: `is taken already by ${taken}` }]
  })
}

interface Place {
  readonly path: Path
  readonly address: ListenerAddress
  readonly ipv6Only: boolean
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
