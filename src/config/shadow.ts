/** Finds routes that can never match, because an earlier one takes everything that they could. */

import { isDeepStrictEqual } from 'node:util'

import type { PathMatch } from './config.ts'
import type { Part } from './parts.ts'
import { formatPath } from './problem.ts'
import type { Finding } from './problem.ts'
import type { MatchEntry } from './match-schema.ts'
import type { RouteEntry } from './route-schema.ts'

/** Of the earlier routes that may take a route's requests so many are compared with it: the check takes linear time. */
const COMPARED_MAX = 1000

export function shadowFindings(routes: readonly Part<RouteEntry>[]): Finding[] {
  const findings: Finding[] = []
  const earlier = new Earlier()
  for (const { path, value, isWhole } of routes) {
    if (!isWhole) continue
    const inner = compiled(value.match)
    const outer = earlier.firstCovering(inner)
    earlier.add(inner, { path, value, isWhole })
    if (outer === undefined) continue
    const name = outer.value.name === undefined ? '' : ` (${outer.value.name})`
    const taker = `${formatPath(outer.path)}${name}`
    findings.push({
      path,
      text: `can never match: ${taker} takes all of its requests; put this route first`,
    })
  }
  return findings
}

/** What a route asks of requests, for comparisons. */
interface Compiled {
  /** `undefined` for every host, and likewise below. */
  readonly hosts: ReadonlySet<string> | undefined
  readonly path: PathMatch | undefined
  readonly methods: ReadonlySet<string> | undefined
  /** By kind and name; names of fields are in lower case. */
  readonly conditions: ReadonlyMap<string, unknown>
}

interface Entry {
  readonly index: number
  readonly match: Compiled
  readonly route: Part<RouteEntry>
}

/** The routes so far, by what those that cover another one have in common with it. */
class Earlier {
  readonly #entries = new Map<string, Entry[]>()
  #count = 0

  add(match: Compiled, route: Part<RouteEntry>): void {
    const entry = { index: this.#count, match, route }
    this.#count += 1
    const [condition = ''] = conditionKeys(match)
    for (const host of match.hosts ?? ['']) {
      const key = keyOf(host, pathKey(match.path), condition)
      const list = this.#entries.get(key)
      if (list === undefined) this.#entries.set(key, [entry])
      else list.push(entry)
    }
  }

  /** The first one that takes all of the requests of `inner`. It may miss some, and never names a wrong one. */
  firstCovering(inner: Compiled): Part<RouteEntry> | undefined {
    let first: Entry | undefined
    let compared = 0
    for (const list of this.#candidates(inner)) {
      for (const entry of list) {
        if (first !== undefined && entry.index > first.index) break
        if ((compared += 1) > COMPARED_MAX) return first?.route
        if (!covers(entry.match, inner)) continue
        first = entry
        break
      }
    }
    return first?.route
  }

  *#candidates(inner: Compiled): Iterable<readonly Entry[]> {
    const [host] = inner.hosts ?? []
    const hosts = ['', ...(host === undefined ? [] : patternsFor(host))]
    const conditions = ['', ...conditionKeys(inner)]
    for (const path of pathKeysFor(inner.path)) {
      for (const pattern of hosts) {
        for (const condition of conditions) {
          const list = this.#entries.get(keyOf(pattern, path, condition))
          if (list !== undefined) yield list
        }
      }
    }
  }
}

function compiled({ host, path, methods, headers, query }: MatchEntry): Compiled {
  const conditions = new Map<string, unknown>()
  for (const [name, value] of Object.entries(headers)) {
    conditions.set(`header ${name.toLowerCase()}`, value)
  }
  for (const [name, value] of Object.entries(query)) {
    conditions.set(`query ${name}`, value)
  }
  return {
    hosts: host && new Set(host),
    path: path?.kind === 'prefix' && path.path === '/' ? undefined : path,
    methods: methods && new Set(methods),
    conditions,
  }
}

function keyOf(...parts: readonly string[]): string {
  return parts.join('\n')
}

function conditionKeys({ conditions }: Compiled): string[] {
  return [...conditions].map(([name, value]) => `${name} ${JSON.stringify(value)}`).toSorted()
}

function pathKey(path: PathMatch | undefined): string {
  if (path === undefined) return ''
  if (path.kind === 'regex') return `regex ${path.regex}`
  return path.kind === 'exact' ? `exact ${path.path}` : `prefix ${withoutSlash(path.path)}`
}

/** The keys of paths that take all requests that this one takes. */
function pathKeysFor(path: PathMatch | undefined): string[] {
  const own = pathKey(path)
  if (path === undefined) return [own]
  if (path.kind === 'regex') return ['', own]
  const text = withoutSlash(path.path)
  const keys = ['', ...(path.kind === 'exact' ? [own] : []), `prefix ${text}`]
  for (let slash = text.lastIndexOf('/'); slash > 0; slash = text.lastIndexOf('/', slash - 1)) {
    keys.push(`prefix ${text.slice(0, slash)}`)
  }
  return keys
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

/** The host itself, and patterns that take it: `*.example.com` takes `a.example.com` and `*.a.example.com`. */
function patternsFor(host: string): string[] {
  const patterns = [host]
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    patterns.push(`*${host.slice(dot)}`)
  }
  return patterns
}

/** Whether every request that matches `inner` matches `outer`. It may say no where the truth is yes, never the reverse. */
function covers(outer: Compiled, inner: Compiled): boolean {
  return (
    coversPath(outer.path, inner.path) &&
    coversHosts(outer.hosts, inner.hosts) &&
    coversMethods(outer.methods, inner.methods) &&
    coversConditions(outer.conditions, inner.conditions)
  )
}

function coversHosts(outer: Compiled['hosts'], inner: Compiled['hosts']): boolean {
  if (outer === undefined) return true
  if (inner === undefined) return false
  return [...inner].every((host) => patternsFor(host).some((pattern) => outer.has(pattern)))
}

function coversPath(outer: PathMatch | undefined, inner: PathMatch | undefined): boolean {
  if (outer === undefined) return true
  if (outer.kind !== 'prefix') return isDeepStrictEqual(outer, inner)
  if (inner === undefined || inner.kind === 'regex') return false
  const start = outer.path.endsWith('/') ? outer.path : `${outer.path}/`
  return inner.path === outer.path || inner.path.startsWith(start)
}

function coversMethods(outer: Compiled['methods'], inner: Compiled['methods']): boolean {
  return (
    outer === undefined || (inner !== undefined && [...inner].every((method) => outer.has(method)))
  )
}

/** More conditions match less: all of `outer` have to be among those of `inner`. */
function coversConditions(outer: Compiled['conditions'], inner: Compiled['conditions']): boolean {
  return [...outer].every(([name, condition]) => isDeepStrictEqual(condition, inner.get(name)))
}
