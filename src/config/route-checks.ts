/** Whether routes name what exists, can be reached, and edit only what may be edited. */

import { isOwnedField } from './fields.ts'
import type { Part, Parts } from './parts.ts'
import { formatPath, PROBLEMS_MAX } from './problem.ts'
import type { Finding, Path } from './problem.ts'
import type { RouteEntry, RouteSettings } from './route-schema.ts'
import { nearest } from './section.ts'
import { shadowFindings } from './shadow.ts'
import { duplicateEndpoints } from './upstream-checks.ts'

/** A suggestion compares a name with all that there are: it is made for as many problems as are told. */
class KnownNames {
  readonly #names: readonly string[]
  readonly #set: ReadonlySet<string>
  #told = 0

  constructor(names: readonly string[]) {
    this.#names = names
    this.#set = new Set(names)
  }

  has(name: string): boolean {
    return this.#set.has(name)
  }

  /** What is wrong with a name that is not known. */
  unknown(what: string, name: string): string {
    const text = `no ${what} is named "${name}"`
    this.#told += 1
    if (this.#told > PROBLEMS_MAX) return text
    const meant = nearest(name, this.#names)
    if (meant !== undefined) return `${text}, did you mean "${meant}"?`
    if (this.#names.length === 0) return `${text}; there are none`
    const others = this.#names.length - NAMES_MAX
    const more = others > 0 ? ` and ${others} more` : ''
    return `${text}; known: ${this.#names.slice(0, NAMES_MAX).join(', ')}${more}`
  }
}

/** So many names are listed. */
const NAMES_MAX = 20

export function routeFindings(parts: Parts): Finding[] {
  const authNames = new KnownNames(parts.authNames)
  const upstreamNames = new KnownNames(parts.upstreamNames)
  const settings: readonly Part<RouteSettings>[] =
    parts.defaults === undefined ? parts.routes : [parts.defaults, ...parts.routes]
  return [
    ...settings.flatMap((part) => authReferences(part, authNames)),
    ...settings.flatMap(editFindings),
    ...parts.routes.flatMap((part) => upstreamReference(part, upstreamNames)),
    ...parts.routes.flatMap(({ path, value }) =>
      repeatedNames([...path, 'match', 'headers'], Object.keys(value.match.headers)),
    ),
    ...nameFindings(parts.routes, upstreamNames),
    ...shadowFindings(parts.routes),
  ]
}

/** The name of a route, as in logs and metrics: `route-1` and so on where none is given. */
export function routeName(value: { name?: string | undefined }, path: Path): string {
  return value.name ?? `route-${Number(path[1]) + 1}`
}

/** The name of an upstream that a route goes to; undefined when its endpoints are written in place. */
export function upstreamName({ upstream }: RouteEntry): string | undefined {
  return !Array.isArray(upstream) && 'name' in upstream ? upstream.name : undefined
}

function authReferences({ path, value }: Part<RouteSettings>, known: KnownNames): Finding[] {
  return value.auth.flatMap((group) =>
    group.flatMap(({ name, at }) =>
      known.has(name)
        ? []
        : [{ path: [...path, 'auth', ...at], text: known.unknown('check in auth', name) }],
    ),
  )
}

function upstreamReference({ path, value }: Part<RouteEntry>, known: KnownNames): Finding[] {
  const upstreamPath = [...path, 'upstream']
  if (Array.isArray(value.upstream)) return duplicateEndpoints(upstreamPath, value.upstream)
  const name = upstreamName(value)
  if (name === undefined || known.has(name)) return []
  return [{ path: upstreamPath, text: known.unknown('upstream', name) }]
}

function nameFindings(routes: Parts['routes'], upstreamNames: KnownNames): Finding[] {
  const seen = new Map<string, Path>()
  return routes.flatMap(({ path, value, isWhole }) => {
    // Its name may be among the keys that are wrong.
    if (value.name === undefined && !isWhole) return []
    const name = routeName(value, path)
    const earlier = seen.get(name)
    seen.set(name, earlier ?? path)
    const namePath = value.name === undefined ? path : [...path, 'name']
    if (earlier !== undefined) {
      const text = `the name "${name}" is taken already by ${formatPath(earlier)}`
      return [{ path: namePath, text }]
    }
    const isInPlace = upstreamName(value) === undefined
    if (!isInPlace || !upstreamNames.has(name)) return []
    const text = `an upstream is named "${name}" too, and URLs in place take the name of their route; rename one, or write upstream: ${name}`
    return [{ path: namePath, text }]
  })
}

/** Names of fields are the same in upper and lower case. */
function repeatedNames(path: Path, names: readonly string[]): Finding[] {
  const seen = new Set<string>()
  return names.flatMap((name) => {
    const isAgain = seen.has(name.toLowerCase())
    seen.add(name.toLowerCase())
    return isAgain
      ? [{ path: [...path, name], text: 'this field is there twice', atKey: true }]
      : []
  })
}

function editFindings({ path, value }: Part<RouteSettings>): Finding[] {
  return (['request', 'response'] as const).flatMap((direction) => {
    const base = [...path, 'headers', direction]
    const edits = value.headers[direction]
    const names = Object.keys(edits.set)
    return [
      ...repeatedNames([...base, 'set'], names),
      ...names.filter(isOwnedField).map((name) => ({
        path: [...base, 'set', name],
        text: 'the gateway makes this field itself; it cannot be set',
        atKey: true,
      })),
      ...edits.remove.flatMap((name, index) =>
        isRemovable(name, direction)
          ? []
          : [
              {
                path: [...base, 'remove', index],
                text: 'a request or an answer needs this field; it cannot be removed',
              },
            ],
      ),
    ]
  })
}

function isRemovable(name: string, direction: 'request' | 'response'): boolean {
  const lowerName = name.toLowerCase()
  // Without the client's offer no extension is negotiated: that is how compression is turned off.
  if (lowerName === 'sec-websocket-extensions') return direction === 'request'
  return !isOwnedField(lowerName) && lowerName !== 'host'
}
