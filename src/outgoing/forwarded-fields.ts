/**
 * Which of the fields go on that tell of the client: the family that is written is made here, out of one set of facts,
 * and of what came nothing passes that could say otherwise.
 */

import { plainAddress } from '../request/address-set.ts'
import type { RequestFacts } from '../request/facts.ts'
import { fieldValue } from '../request/headers.ts'
import { onlyValue } from '../request/identifiers.ts'

/** Adds X-Forwarded-For, -Proto, -Host and -Port and X-Real-IP, or Forwarded, or all of them. */
export function addForwarded(outgoing: string[], facts: RequestFacts): void {
  const { field, for: hops, host, policy, port, proto } = facts.forwarded
  if (field !== undefined) outgoing.push('Forwarded', field)
  if (policy?.write === 'forwarded') return
  if (hops !== '') outgoing.push('X-Forwarded-For', hops)
  outgoing.push('X-Forwarded-Proto', proto)
  if (host !== '') outgoing.push('X-Forwarded-Host', host)
  outgoing.push('X-Forwarded-Port', port)
  const address = realAddress(facts)
  if (address !== '') outgoing.push('X-Real-IP', address)
}

/**
 * The client that X-Forwarded-For tells of, for upstreams that want one address. A trusted proxy that sends X-Real-IP alone
 * is believed; beside X-Forwarded-For it is often a client's, passed on by a proxy that does not know it.
 */
function realAddress(facts: RequestFacts): string {
  const { clientIp, fields } = facts
  if (!passesXForwarded(facts) || fieldValue(fields, 'x-forwarded-for') !== undefined)
    return clientIp
  return plainAddress(onlyValue(fields, 'x-real-ip') ?? '') ?? clientIp
}

/** Whether others of X-Forwarded-* go on than those that are made. A proxy that is read by Forwarded passes on what clients say in them. */
export function passesXForwarded({ peerTrusted, forwarded: { policy } }: RequestFacts): boolean {
  if (!peerTrusted) return false
  return policy === undefined || (policy.read === 'x-forwarded' && policy.write !== 'forwarded')
}
