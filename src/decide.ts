/** The first two steps of every request, upgrade or not: who asks for what (facts), and which route takes it. */

import { Refusal } from './errors.ts'
import type { Plane, RouteParts } from './plane.ts'
import { readFacts, type Connection, type RequestFacts, type RequestHead } from './request/facts.ts'
import { allowedTokens, matchRoute } from './route/match.ts'

export type Decision = UpgradeDecision | PlainDecision | RefusedDecision

/** The route lets the client upgrade to one of `tokens`. */
export interface UpgradeDecision {
  readonly upgrades: true
  readonly facts: RequestFacts
  readonly parts: RouteParts
  /** The allowed ones among those asked for, as the client spells and orders them. */
  readonly tokens: readonly string[]
}

/** No upgrade is asked for, or none that the route allows: it is plain HTTP then (RFC 9110 7.8). */
export interface PlainDecision {
  readonly upgrades: false
  readonly facts: RequestFacts
  readonly parts: RouteParts
}

export interface RefusedDecision {
  readonly upgrades: false
  readonly refusal: Refusal
  /** What is known of the request: facts where they could be read. */
  readonly facts: RequestFacts | undefined
  readonly parts: RouteParts | undefined
  readonly method: string
  readonly peerAddress: string
}

/** Never throws for what a client sent. */
export function decide(plane: Plane, head: RequestHead, connection: Connection): Decision {
  const refused = (
    refusal: Refusal,
    facts?: RequestFacts,
    parts?: RouteParts,
  ): RefusedDecision => ({
    upgrades: false,
    refusal,
    facts,
    parts,
    method: head.method,
    peerAddress: connection.peerAddress,
  })
  const facts = readFacts(head, connection, plane.trusted)
  if (facts instanceof Refusal) return refused(facts)
  const route = matchRoute(plane.table, facts)
  if (route instanceof Refusal) return refused(route, facts)
  const parts = plane.partsOf(route)
  const tokens = allowedTokens(route, facts)
  if (tokens.length > 0) return { upgrades: true, facts, parts, tokens }
  if (!parts.config.http) return refused(upgradeRequired(parts), facts, parts)
  return { upgrades: false, facts, parts }
}

/** RFC 9110 15.5.22: a 426 names the protocols that would do. */
function upgradeRequired({ config }: RouteParts): Refusal {
  const tokens = config.upgrade === 'any' ? ['websocket'] : config.upgrade
  const fields = tokens.length === 0 ? [] : ['Upgrade', tokens.join(', '), 'Connection', 'Upgrade']
  return new Refusal('E_UPGRADE_REQUIRED', { fields })
}
