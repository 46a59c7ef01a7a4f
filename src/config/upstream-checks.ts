/** The rules of `upstreams` that go beyond one key. */

import type { Part } from './parts.ts'
import type { Finding, Path } from './problem.ts'
import type { Upstream } from './schema.ts'

export function upstreamFindings({ path, value, isWhole }: Part<Upstream>): Finding[] {
  const findings = [
    ...duplicateEndpoints([...path, 'endpoints'], value.endpoints),
    ...halfPairs([...path, 'tls'], value.tls, isWhole),
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
