/** What no part of the configuration can tell alone: whether the parts fit together. */

import { authFindings } from './auth-checks.ts'
import { fileChecks } from './file-checks.ts'
import { clientCertFindings, listenerFindings } from './listener-checks.ts'
import { isLoopback } from './network.ts'
import { addressFindings, loopFindings } from './own-addresses.ts'
import type { Part, Parts } from './parts.ts'
import type { Finding } from './problem.ts'
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
      ...loopFindings(parts),
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
