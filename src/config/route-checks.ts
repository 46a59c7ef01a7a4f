/** Whether routes name what exists, can be reached, and edit only what may be edited. */

import { isOwnedField } from './fields.ts'
import type { Part, Parts } from './parts.ts'
import { formatPath } from './problem.ts'
import type { Finding, Path } from './problem.ts'
import type { RouteEntry, RouteSettings } from './route-schema.ts'
import { nearest } from './section.ts'
import { shadowFindings } from './shadow.ts'
import { duplicateEndpoints } from './upstream-checks.ts'

export function routeFindings(parts: Parts): Finding[] {
  const settings: readonly Part<RouteSettings>[] =
    parts.defaults === undefined ? parts.routes : [parts.defaults, ...parts.routes]
  return [
    ...settings.flatMap((part) => authReferences(part, parts.authNames)),
    ...settings.flatMap(editFindings),
    ...parts.routes.flatMap((part) => upstreamReference(part, parts.upstreamNames)),
    ...parts.routes.flatMap(({ path, value }) =>
      repeatedNames([...path, 'match', 'headers'], Object.keys(value.match.headers)),
    ),
    ...nameFindings(parts),
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

function unknownName(what: string, name: string, known: readonly string[]): string {
  const text = `no ${what} is named "${name}"`
  const meant = nearest(name, known)
  if (meant !== undefined) return `${text}, did you mean "${meant}"?`
  return known.length === 0 ? `${text}; there are none` : `${text}; known: ${known.join(', ')}`
}

function authReferences({ path, value }: Part<RouteSettings>, known: readonly string[]): Finding[] {
  return value.auth.flatMap((group) =>
    group.flatMap(({ name, at }) =>
      known.includes(name)
        ? []
        : [{ path: [...path, 'auth', ...at], text: unknownName('check in auth', name, known) }],
    ),
  )
}

function upstreamReference({ path, value }: Part<RouteEntry>, known: readonly string[]): Finding[] {
  const upstreamPath = [...path, 'upstream']
  if (Array.isArray(value.upstream)) return duplicateEndpoints(upstreamPath, value.upstream)
  const name = upstreamName(value)
  if (name === undefined || known.includes(name)) return []
  return [{ path: upstreamPath, text: unknownName('upstream', name, known) }]
}

function nameFindings({ routes, upstreamNames }: Parts): Finding[] {
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
    if (!isInPlace || !upstreamNames.includes(name)) return []
    const text = `an upstream is named "${name}" too, and URLs in place take the name of their route; rename one, or write upstream: ${name}`
    return [{ path: namePath, text }]
  })
}

/** Names of fields are the same in upper and lower case. */
function repeatedNames(path: Path, names: readonly string[]): Finding[] {
  const lowerNames = names.map((name) => name.toLowerCase())
  return names.flatMap((name, index) =>
    lowerNames.indexOf(name.toLowerCase()) < index
      ? [{ path: [...path, name], text: 'this field is there twice', atKey: true }]
      : [],
  )
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
