/** What makes a route, or an upstream, the same one in another config. */

import { createHash } from 'node:crypto'

import type { RouteEntry } from './route-schema.ts'

/** Of routes without a name: they are the same as long as `match` and `upstream` are, wherever they stand. */
export class Identities {
  readonly #counts = new Map<string, number>()

  /**
   * The name of a route that has one. Else something that no name can be, made of what it matches and where it goes; of two
   * that agree in both, the second is known by its place behind the first.
   */
  of({ name, match, upstream }: Pick<RouteEntry, 'name' | 'match' | 'upstream'>): string {
    if (name !== undefined) return name
    const { host, methods } = match
    const sets = { host: host?.toSorted(), methods: methods?.toSorted() }
    const text = JSON.stringify({ match: { ...match, ...sets }, upstream }, inOrder)
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
    const count = (this.#counts.get(hash) ?? 0) + 1
    this.#counts.set(hash, count)
    return count === 1 ? `#${hash}` : `#${hash}-${count}`
  }
}

/** The order of keys says nothing. */
function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
