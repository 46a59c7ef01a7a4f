/** The first two steps of every request, upgrade or not: who asks for what (facts), and which route takes it. */

import { Refusal } from './errors.ts'
import type { Plane, RouteParts } from './plane.ts'
import { plainAddress } from './request/address-set.ts'
import { readFacts, type Connection, type RequestFacts, type RequestHead } from './request/facts.ts'
import { hasPassed } from './request/via.ts'
import { allowedTokens, matchRoute } from './route/match.ts'

const HTTPS_PORT = 443

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

/** Never throws: a bug on the way becomes a refusal as well, since the parser that asks has nobody to catch it. */
export function decide(plane: Plane, head: RequestHead, connection: Connection): Decision {
  const known: Known = { facts: undefined, parts: undefined }
  let decided: UpgradeDecision | PlainDecision | Refusal
  try {
    decided = route(plane, head, connection, known)
  } catch (error) {
    decided = Refusal.ofError(error)
  }
  if (!(decided instanceof Refusal)) return decided
  const { method } = head
  const peerAddress = plainAddress(connection.peerAddress) ?? ''
  return { upgrades: false, refusal: decided, ...known, method, peerAddress }
}

/** What was found out before a refusal. */
interface Known {
  facts: RequestFacts | undefined
  parts: RouteParts | undefined
}

function route(
  plane: Plane,
  head: RequestHead,
  connection: Connection,
  known: Known,
): UpgradeDecision | PlainDecision | Refusal {
  const facts = readFacts(head, connection, plane)
  if (facts instanceof Refusal) return facts
  known.facts = facts
  const { pseudonym } = plane
  if (pseudonym !== undefined && hasPassed(facts.fields, pseudonym)) return new Refusal('E_LOOP')
  if (connection.httpsPort !== undefined) return httpsRequired(facts, connection.httpsPort)
  const matched = matchRoute(plane.table, facts)
  if (matched instanceof Refusal) return matched
  const parts = plane.partsOf(matched)
  known.parts = parts
  const tokens = allowedTokens(matched, facts)
  if (tokens.length > 0) return { upgrades: true, facts, parts, tokens }
  // To whoever has asked with CONNECT any 2xx is a tunnel: it cannot be served as plain HTTP.
  if (facts.http2?.connects === true) return new Refusal('E_PROTOCOL_UNSERVED')
  return parts.config.http ? { upgrades: false, facts, parts } : upgradeRequired(parts)
}

/** RFC 9110 15.4.9: of a 308 the client repeats method and body. `host` is a valid one, and the target in origin form. */
function httpsRequired({ host, target }: RequestFacts, port: number): Refusal {
  if (host === '') return new Refusal('E_HOST_INVALID', { cause: 'no host to redirect to' })
  const authority = port === HTTPS_PORT ? host : `${host}:${port}`
  const location = `https://${authority}${target === '*' ? '/' : target}`
  return new Refusal('E_HTTPS_REQUIRED', { fields: ['Location', location] })
}

/** RFC 9110 15.5.22: a 426 names the protocols that would do. */
function upgradeRequired({ config }: RouteParts): Refusal {
  const tokens = config.upgrade === 'any' ? ['websocket'] : config.upgrade
  const fields = tokens.length === 0 ? [] : ['Upgrade', tokens.join(', '), 'Connection', 'Upgrade']
  return new Refusal('E_UPGRADE_REQUIRED', { fields })
}
