/**
 * Which of the fields go on that tell of the client: the family that is written is made here, out of one set of facts,
 * and of what came nothing passes that could say otherwise.
 */

import type { RequestFacts } from '../request/facts.ts'
import type { Forwarded } from '../request/forwarded.ts'

/** Adds X-Forwarded-For, -Proto, -Host and -Port, or Forwarded, or both. */
export function addForwarded(outgoing: string[], forwarded: Forwarded): void {
  const { field, host, policy, port, proto } = forwarded
  if (field !== undefined) outgoing.push('Forwarded', field)
  if (policy?.write === 'forwarded') return
  if (forwarded.for !== '') outgoing.push('X-Forwarded-For', forwarded.for)
  outgoing.push('X-Forwarded-Proto', proto)
  if (host !== '') outgoing.push('X-Forwarded-Host', host)
  outgoing.push('X-Forwarded-Port', port)
}

/** Whether others of X-Forwarded-* go on than those that are made. A proxy that is read by Forwarded passes on what clients say in them. */
export function passesXForwarded({ peerTrusted, forwarded: { policy } }: RequestFacts): boolean {
  if (!peerTrusted) return false
  return policy === undefined || (policy.read === 'x-forwarded' && policy.write !== 'forwarded')
}
