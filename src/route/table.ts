/** Compiles routes into a form that a request is matched against quickly: regexes ready, hosts in an index. */

import { RE2JS } from 're2js'
import type { Work } from '../slices.ts'
import type { MatchConfig, PathMatch, RouteConfig, ValueMatch } from '../config/config.ts'
import { plainHost } from '../request/authority.ts'
import { canonicalPath } from '../request/paths.ts'

/** A route that is ready to match. */
export interface Route {
  readonly config: RouteConfig
  /** Its place in the file: of two routes that match, the one with the lower index wins. */
  readonly index: number
  /** Undefined where every path matches. */
  readonly path: PathTest | undefined
  readonly methods: ReadonlySet<string> | undefined
  /** By lower-case field name. */
  readonly headers: readonly Condition[]
  readonly query: readonly Condition[]
  /** Lower-case tokens; `any` is all but those that carry HTTP. */
  readonly tokens: ReadonlySet<string> | 'any'
}

export type PathTest =
  | { readonly kind: 'exact' | 'prefix'; readonly path: string }
  | { readonly kind: 'regex'; readonly regex: RE2JS }

export interface Condition {
  readonly name: string
  readonly test: ValueTest
}

export type ValueTest =
  | { readonly kind: 'present' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'equals'; readonly value: string }
  | { readonly kind: 'regex'; readonly regex: RE2JS }

/** Routes by the hosts that they name. Each list is in the file's order; a route with several hosts is in several lists. */
export interface RouteTable {
  readonly anyHost: readonly Route[]
  readonly byHost: ReadonlyMap<string, readonly Route[]>
  /** By what follows `*.`. */
  readonly bySuffix: ReadonlyMap<string, readonly Route[]>
}

/** The routes in the file's order. Throws for an invalid regex: the configuration has been checked before. */
export function* compileRoutes(routes: readonly RouteConfig[]): Work<RouteTable> {
  const anyHost: Route[] = []
  const byHost = new Map<string, Route[]>()
  const bySuffix = new Map<string, Route[]>()
  for (const [index, config] of routes.entries()) {
    const route = compileRoute(config, index)
    if (config.match.hosts === undefined) anyHost.push(route)
    for (const host of new Set(config.match.hosts?.map(plainHost))) {
      if (host.startsWith('*.')) addTo(bySuffix, host.slice('*.'.length), route)
      else addTo(byHost, host, route)
    }
    yield
  }
  return { anyHost, byHost, bySuffix }
}

function addTo(lists: Map<string, Route[]>, key: string, route: Route): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [route])
  else list.push(route)
}

function compileRoute(config: RouteConfig, index: number): Route {
  const { match, upgrade } = config
  return {
    config,
    index,
    path: compilePath(match.path),
    methods: match.methods === undefined ? undefined : new Set(match.methods),
    headers: compileConditions(match.headers),
    query: compileConditions(match.query),
    tokens: upgrade === 'any' ? 'any' : new Set(upgrade.map((token) => token.toLowerCase())),
  }
}

/** Paths of the configuration get the form that those of requests have. */
function compilePath(path: PathMatch | undefined): PathTest | undefined {
  if (path === undefined) return undefined
  if (path.kind === 'regex') return { kind: 'regex', regex: RE2JS.compile(path.regex) }
  const test = { kind: path.kind, path: canonicalPath(path.path) }
  return test.kind === 'prefix' && test.path === '/' ? undefined : test
}

function compileConditions(conditions: MatchConfig['headers']): Condition[] {
  return [...conditions].map(([name, match]) => ({ name, test: compileValue(match) }))
}

function compileValue(match: ValueMatch): ValueTest {
  return match.kind === 'regex' ? { kind: 'regex', regex: RE2JS.compile(match.regex) } : match
}
