/** A route's `allow`: client addresses that may use it. */

import { Refusal } from '../errors.ts'
import type { AddressSet } from '../request/address-set.ts'
import type { RequestFacts } from '../request/facts.ts'

/** E_ADDRESS_DENIED for a client elsewhere, and for one whose address is not known (a unix peer that tells none). */
export function checkAddress(allowed: AddressSet, facts: RequestFacts): Refusal | undefined {
  if (allowed.has(facts.clientIp)) return undefined
  return new Refusal('E_ADDRESS_DENIED', { cause: `client address ${facts.clientIp || 'unknown'}` })
}
