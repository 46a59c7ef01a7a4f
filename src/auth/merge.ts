/** Makes one identity of what several checks found, and hides tokens of those that were not asked. */

import type { RequestFacts } from '../request/facts.ts'
import { anonymous, type Check, type Hidden, type Identity } from './identity.ts'

/** The first user and marker that there is, all fields, everything hidden, and all grants. */
export function foldIdentities(identities: readonly Identity[]): Identity {
  const [first, ...rest] = identities
  return first === undefined ? anonymous : rest.reduce(mergeTwo, first)
}

/** `identity` itself when it hides enough already. */
export function hideMore(
  identity: Identity,
  hiders: readonly Check[],
  facts: RequestFacts,
): Identity {
  let result = identity
  for (const check of hiders) {
    const hidden = check.hidden?.(facts)
    if (hidden !== undefined) result = { ...result, ...mergeHidden(result, hidden) }
  }
  return result
}

function mergeTwo(one: Identity, other: Identity): Identity {
  return {
    ...mergeHidden(one, other),
    user: one.user ?? other.user,
    fields: [...one.fields, ...other.fields],
    grants: [...one.grants, ...other.grants],
  }
}

function mergeHidden(one: Hidden, other: Hidden): Hidden {
  return {
    hiddenQuery: union(one.hiddenQuery, other.hiddenQuery),
    hiddenSubprotocols: union(one.hiddenSubprotocols, other.hiddenSubprotocols),
    markerSubprotocol: one.markerSubprotocol ?? other.markerSubprotocol,
  }
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  if (other.length === 0) return one
  return one.length === 0 ? other : [...new Set([...one, ...other])]
}
