/** Whether two parts of configurations say the same. */

import { isDeepStrictEqual } from 'node:util'

/**
 * Deep equality of parts of a `Config`: lists are compared in their order, maps and objects without regard to it. What a
 * reload finds the same it may keep.
 */
export function sameConfig<Part>(a: Part, b: Part): boolean {
  return isDeepStrictEqual(a, b)
}
