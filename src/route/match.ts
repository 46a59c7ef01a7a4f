/** Finds the route of a request, and the upgrades that it allows. Pure; it allocates nothing in the common case. */

import { Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { fieldValues } from '../request/headers.ts'
import { queryValues } from '../request/query.ts'
import type { Condition, PathTest, Route, RouteTable, ValueTest } from './table.ts'

/**
 * The first route, in the file's order, whose conditions all hold. Refuses with E_ROUTE_NONE; and with
 * E_TARGET_AMBIGUOUS where another reading of the path belongs to another route or to none: a target may only go on when
 * it passes the same route's checks whichever way the upstream reads it.
 */
export function matchRoute(table: RouteTable, facts: RequestFacts): Route | Refusal {
  const route = firstMatch(table, facts, facts.path)
  if (route === undefined) return new Refusal('E_ROUTE_NONE')
  for (const path of facts.otherPaths) {
    const other = firstMatch(table, facts, path)
    if (other !== route) return ambiguous(route, path, other)
  }
  return route
}

function ambiguous(route: Route, path: string, other: Route | undefined): Refusal {
  const name = other === undefined ? 'no route' : `the route ${other.config.name}`
  return new Refusal('E_TARGET_AMBIGUOUS', {
    cause: `matches the route ${route.config.name}, and read as ${JSON.stringify(path)} ${name}`,
  })
}

/** Each list is in the file's order, so none is followed beyond the best match so far. */
function firstMatch(table: RouteTable, facts: RequestFacts, path: string): Route | undefined {
  let best = firstOf(table.anyHost, facts, path, undefined)
  const { host } = facts
  if (table.byHost.size > 0) best = firstOf(table.byHost.get(host), facts, path, best)
  if (table.bySuffix.size > 0) {
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      best = firstOf(table.bySuffix.get(host.slice(dot + 1)), facts, path, best)
    }
  }
  return best
}

function firstOf(
  routes: readonly Route[] | undefined,
  facts: RequestFacts,
  path: string,
  best: Route | undefined,
): Route | undefined {
  if (routes === undefined) return best
  for (const route of routes) {
    if (best !== undefined && route.index > best.index) return best
    if (matches(route, facts, path)) return route
  }
  return best
}

function matches(route: Route, facts: RequestFacts, path: string): boolean {
  if (route.path !== undefined && !pathMatches(route.path, path)) return false
  if (route.methods !== undefined && !route.methods.has(facts.method)) return false
  for (const condition of route.headers) {
    if (!anyMatches(condition, fieldValues(facts.fields, condition.name))) return false
  }
  for (const condition of route.query) {
    if (!anyMatches(condition, queryValues(facts.query, condition.name))) return false
  }
  return true
}

const SLASH = 0x2f

function pathMatches(test: PathTest, path: string): boolean {
  if (test.kind === 'regex') return test.regex.testExact(path)
  if (test.kind === 'exact') return path === test.path
  return path.startsWith(test.path) && isBorder(path, test.path.length)
}

/** Whether a segment ends right before or right at this place. */
function isBorder(path: string, at: number): boolean {
  return path.length === at || path.charCodeAt(at) === SLASH || path.charCodeAt(at - 1) === SLASH
}

function anyMatches({ test }: Condition, values: readonly string[]): boolean {
  if (test.kind === 'absent') return values.length === 0
  for (const value of values) if (valueMatches(test, value)) return true
  return false
}

function valueMatches(test: Exclude<ValueTest, { kind: 'absent' }>, value: string): boolean {
  if (test.kind === 'present') return true
  return test.kind === 'equals' ? value === test.value : test.regex.testExact(value)
}

/**
 * The tokens that the client asked for and the route allows, in the client's order and spelling. Tokens are compared
 * without regard to case; `any` is all but those that carry HTTP, which a route has to name, since they turn a connection
 * into one that later requests pass without their checks.
 */
export function allowedTokens(route: Route, facts: RequestFacts): readonly string[] {
  const asked = facts.upgrade
  for (const token of asked) {
    if (!allows(route, token)) return asked.filter((other) => allows(route, other))
  }
  return asked
}

/** HTTP/2 (h2c; h2, which some servers take as well; drafts such as h2c-14; HTTP/2.0), and TLS, inside which HTTP goes on (RFC 2817). */
const CARRIES_HTTP = /^(?:h2c?|http|tls)(?:$|[-/])/

function allows({ tokens }: Route, token: string): boolean {
  const lower = token.toLowerCase()
  return tokens === 'any' ? !CARRIES_HTTP.test(lower) : tokens.has(lower)
}
