/** The edits of fields that a route's configuration asks for, in a form that is quick to apply. */

import type { FieldEdits } from '../config/config.ts'
import type { Fields } from '../errors.ts'
import { aliasOf } from '../request/field-names.ts'

export interface CompiledEdits {
  /** Lower-case names of all fields that are set or removed, and aliases of those that are set. */
  readonly names: ReadonlySet<string>
  /** Name, value, ... without Host, which keeps its place. */
  readonly set: Fields
  /** The Host to send; empty for one that is removed. */
  readonly host: string | undefined
}

const compiledEdits = new WeakMap<FieldEdits, CompiledEdits>()

/** Compiled once for each route. */
export function compiled(edits: FieldEdits): CompiledEdits {
  let result = compiledEdits.get(edits)
  if (result === undefined) {
    result = {
      names: new Set([
        ...edits.set
          .map(([name]) => name.toLowerCase())
          .flatMap((lower) => [lower, aliasOf(lower)]),
        ...edits.remove,
      ]),
      set: edits.set.filter((pair) => !isHost(pair)).flat(),
      host: edits.set.find(isHost)?.[1] ?? (edits.remove.includes('host') ? '' : undefined),
    }
    compiledEdits.set(edits, result)
  }
  return result
}

function isHost([name]: readonly [string, string]): boolean {
  return name.toLowerCase() === 'host'
}
