/** Finds routes that can never match, because an earlier one takes everything that they could. */

import { isDeepStrictEqual } from 'node:util'

import type { PathMatch } from './config.ts'
import type { Part } from './parts.ts'
import { formatPath } from './problem.ts'
import type { Finding } from './problem.ts'
import type { MatchEntry } from './match-schema.ts'
import type { RouteEntry } from './route-schema.ts'

export function shadowFindings(routes: readonly Part<RouteEntry>[]): Finding[] {
  const whole = routes.filter((part) => part.isWhole)
  return whole.flatMap(({ path, value }, index) => {
    const earlier = whole
      .slice(0, index)
      .find((other) => coversMatch(other.value.match, value.match))
    if (earlier === undefined) return []
    const name = earlier.value.name === undefined ? '' : ` (${earlier.value.name})`
    const taker = `${formatPath(earlier.path)}${name}`
    const text = `can never match: ${taker} takes all of its requests; put this route first`
    return [{ path, text }]
  })
}

/** Whether every request that matches `inner` matches `outer`. It may say no where the truth is yes, never the reverse. */
function coversMatch(outer: MatchEntry, inner: MatchEntry): boolean {
  return (
    coversHosts(outer.host, inner.host) &&
    coversPath(outer.path, inner.path) &&
    coversList(outer.methods, inner.methods) &&
    coversConditions(lowerKeys(outer.headers), lowerKeys(inner.headers)) &&
    coversConditions(outer.query, inner.query)
  )
}

function coversHosts(
  outer: readonly string[] | undefined,
  inner: readonly string[] | undefined,
): boolean {
  if (outer === undefined) return true
  return inner?.every((host) => outer.some((pattern) => coversHost(pattern, host))) ?? false
}

function coversHost(pattern: string, host: string): boolean {
  if (pattern === host) return true
  // `*.example.com` takes `a.example.com` and `*.a.example.com`.
  return pattern.startsWith('*.') && host !== pattern.slice(2) && host.endsWith(pattern.slice(1))
}

function coversPath(outer: PathMatch | undefined, inner: PathMatch | undefined): boolean {
  if (outer === undefined) return true
  if (outer.kind !== 'prefix') return isDeepStrictEqual(outer, inner)
  if (outer.path === '/') return true
  if (inner === undefined || inner.kind === 'regex') return false
  const start = outer.path.endsWith('/') ? outer.path : `${outer.path}/`
  return inner.path === outer.path || inner.path.startsWith(start)
}

function coversList(
  outer: readonly string[] | undefined,
  inner: readonly string[] | undefined,
): boolean {
  return outer === undefined || (inner?.every((item) => outer.includes(item)) ?? false)
}

/** More conditions match less: all of `outer` have to be among those of `inner`. */
function coversConditions(
  outer: Readonly<Record<string, unknown>>,
  inner: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(outer).every(([name, condition]) =>
    isDeepStrictEqual(condition, inner[name]),
  )
}

function lowerKeys(conditions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(conditions).map(([name, condition]) => [name.toLowerCase(), condition]),
  )
}
