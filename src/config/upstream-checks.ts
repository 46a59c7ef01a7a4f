/** The rules of `upstreams` that go beyond one key. */

import { isIP } from 'node:net'

import type { Part } from './parts.ts'
import type { Finding, Path } from './problem.ts'
import type { Upstream } from './schema.ts'

export function upstreamFindings({ path, value, isWhole }: Part<Upstream>): Finding[] {
  const findings = [
    ...duplicateEndpoints([...path, 'endpoints'], value.endpoints),
    ...halfPairs([...path, 'tls'], value.tls, isWhole),
    ...unreachable([...path, 'localAddress'], value),
    ...unread([...path, 'proxyProtocol'], value),
    ...unshared(path, value),
  ]
  if (isWhole && value.health.setAside > value.health.setAsideMax) {
    const text = 'must not be longer than setAsideMax'
    findings.push({ path: [...path, 'health', 'setAside'], text })
  }
  if (value.rebalance !== 'off' && isHash(value.balance)) {
    const text =
      'with hash a client comes back to the same endpoint; expected off, or another balance'
    findings.push({ path: [...path, 'rebalance'], text })
  }
  return findings
}

export function upstreamWarnings({ path, value }: Part<Upstream>): Finding[] {
  const warnings: Finding[] = []
  if (value.rebalance !== 'off' && value.endpoints.length === 1) {
    const text = 'has no effect: there is only one endpoint'
    warnings.push({ path: [...path, 'rebalance'], text })
  }
  if (value.tls.insecure) {
    const text = `nobody checks who answers for ${String(path.at(-1))}: better tls.ca with the certificate's issuer`
    warnings.push({ path: [...path, 'tls', 'insecure'], text })
  }
  return warnings
}

/** A certificate is of no use without its key. */
function halfPairs(path: Path, { cert, key }: Upstream['tls'], isWhole: boolean): Finding[] {
  if (!isWhole || (cert === undefined) === (key === undefined)) return []
  const [there, missing] = cert === undefined ? ['key', 'cert'] : ['cert', 'key']
  return [{ path: [...path, there], text: `needs ${missing} beside it` }]
}

/** The gateway's own endpoints read none. */
function unread(path: Path, { endpoints, proxyProtocol }: Upstream): Finding[] {
  if (proxyProtocol === 'off') return []
  const builtin = endpoints.find(({ address }) => address.kind === 'builtin')
  return builtin === undefined ? [] : [{ path, text: `${builtin.url} reads no PROXY header` }]
}

/** What cannot be together with connections that many clients share. */
function unshared(path: Path, { endpoints, proxyProtocol }: Upstream): Finding[] {
  const findings = endpoints.flatMap(({ url, address, http2 }, index) =>
    http2 && address.kind === 'builtin'
      ? [{ path: [...path, 'endpoints', index, 'http2'], text: `${url} speaks HTTP/1.1 alone` }]
      : [],
  )
  const shared = endpoints.find(({ http2 }) => http2)
  if (proxyProtocol === 'off' || shared === undefined) return findings
  const text = `names one client for each connection, and ${shared.url} has http2: its connections are shared`
  return [...findings, { path: [...path, 'proxyProtocol'], text }]
}

/** Between two families there is no connection. Names may have addresses of both. */
function unreachable(path: Path, { endpoints, localAddress }: Upstream): Finding[] {
  if (localAddress === undefined) return []
  const families = new Set(localAddress.map(isIP))
  if (endpoints.every(({ address }) => address.kind !== 'tcp')) {
    return [{ path, text: 'is for endpoints over TCP, and there is none' }]
  }
  return endpoints.flatMap(({ url, address }) => {
    const family = address.kind === 'tcp' ? isIP(address.host) : 0
    if (family === 0 || families.has(family)) return []
    return [{ path, text: `has no IPv${family} address, which ${url} can be connected to from` }]
  })
}

function isHash(balance: Upstream['balance']): boolean {
  return balance === 'hash' || typeof balance === 'object'
}

/** Two endpoints of one URL could not be told apart in logs and metrics. */
export function duplicateEndpoints(path: Path, endpoints: readonly { url: string }[]): Finding[] {
  const seen = new Set<string>()
  return endpoints.flatMap(({ url }, index) => {
    const isAgain = seen.has(url)
    seen.add(url)
    const text = 'this endpoint is there twice; give it a weight instead'
    return isAgain ? [{ path: [...path, index], text }] : []
  })
}
