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
  return findings
}

/** Two endpoints of one URL could not be told apart in logs and metrics. */
export function duplicateEndpoints(path: Path, endpoints: readonly { url: string }[]): Finding[] {
  return endpoints.flatMap(({ url }, index) =>
    endpoints.findIndex((other) => other.url === url) < index
      ? [{ path: [...path, index], text: 'this endpoint is there twice; give it a weight instead' }]
      : [],
  )
}
