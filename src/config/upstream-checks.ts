/** The rules of `upstreams` that go beyond one key. */

import type { Part } from './parts.ts'
import type { Finding, Path } from './problem.ts'
import type { Upstream } from './schema.ts'

export function upstreamFindings({ path, value, isWhole }: Part<Upstream>): Finding[] {
  const findings = duplicateEndpoints([...path, 'endpoints'], value.endpoints)
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
  if (value.rebalance === 'off' || value.endpoints.length > 1) return []
  return [{ path: [...path, 'rebalance'], text: 'has no effect: there is only one endpoint' }]
}

function isHash(balance: Upstream['balance']): boolean {
  return balance === 'hash' || typeof balance === 'object'
}

/** Two endpoints of one URL could not be told apart in logs and metrics. */
export function duplicateEndpoints(path: Path, endpoints: readonly { url: string }[]): Finding[] {
  return endpoints.flatMap(({ url }, index) =>
    endpoints.findIndex((other) => other.url === url) < index
      ? [{ path: [...path, index], text: 'this endpoint is there twice; give it a weight instead' }]
      : [],
  )
}
