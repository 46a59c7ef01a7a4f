/** Whether a reload leaves a tunnel in: by the route's checks as they are now, of what they found when it was opened. */

import type { Policy } from './authorize.ts'
import type { Grant } from './grant.ts'
import type { Check } from './identity.ts'
import { allowsOrigin } from './origin.ts'

/** What is known of who opened a tunnel. */
export interface Standpoint {
  readonly grants: readonly Grant[]
  readonly clientIp: string
  /** The Origin of its request. */
  readonly origin: string | undefined
}

/**
 * The grants that a tunnel has under `policy`: one of each group, the same array where nothing changes. Undefined when the
 * policy would not let it in by what it has shown: its address or origin is not allowed, or a group has no check that
 * knows its credentials.
 */
export function grantsUnder(policy: Policy, standpoint: Standpoint): readonly Grant[] | undefined {
  const { grants, clientIp, origin } = standpoint
  const { allowed, origins, groups } = policy
  if (allowed !== undefined && !allowed.has(clientIp)) return undefined
  if (origins !== undefined && (origin === undefined || !allowsOrigin(origins, origin))) {
    return undefined
  }
  const renewed: Grant[] = []
  for (const group of groups) {
    const grant = grantOf(group, grants)
    if (grant === undefined) return undefined
    renewed.push(grant)
  }
  return isSame(renewed, grants) ? grants : renewed
}

function grantOf(group: readonly Check[], grants: readonly Grant[]): Grant | undefined {
  for (const check of group) {
    for (const grant of grants) {
      const renewed = check.renew(grant)
      if (renewed !== undefined) return renewed
    }
  }
  return undefined
}

function isSame(some: readonly Grant[], others: readonly Grant[]): boolean {
  return some.length === others.length && some.every((grant, index) => grant === others[index])
}
