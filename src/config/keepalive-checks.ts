/** Whether pings come in time. It looks at routes with their `defaults`: pings may stand in one of them, limits in the other. */

import { routesWithDefaults } from './defaults.ts'
import type { Finding } from './problem.ts'
import type { ConfigInput } from './schema.ts'

/** For a valid file. Each place that is to be put right is told once, however many routes it holds for. */
export function keepaliveWarnings(input: ConfigInput): Finding[] {
  const findings = routesWithDefaults(input).flatMap(({ keepalive, timeouts }, index) => {
    // The gateway's own pings are no use of a tunnel: `idle` goes on while they are answered.
    if (keepalive === 'off' || keepalive.ping < timeouts.idle) return []
    return [findingAt(input, index)]
  })
  return [...new Map(findings.map((finding) => [finding.path.join('.'), finding])).values()]
}

/** At the one of the two keys that is nearest to the route. */
function findingAt(input: ConfigInput, index: number): Finding {
  const entry = input.routes[index]
  const consequence = 'a silent tunnel ends before it is pinged'
  if (entry?.keepalive === undefined && entry?.timeouts?.idle !== undefined) {
    const text = `is not longer than keepalive.ping: ${consequence}`
    return { path: ['routes', index, 'timeouts', 'idle'], text }
  }
  const owner = entry?.keepalive === undefined ? ['defaults'] : ['routes', index]
  const text = `is not shorter than timeouts.idle: ${consequence}`
  return { path: [...owner, 'keepalive', 'ping'], text }
}
