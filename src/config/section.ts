/** Building blocks of the schema: a map that knows its keys, and the three kinds of keys in it. */

import leven from 'leven'
import { z } from 'zod'

import { PROBLEMS_MAX } from './problem.ts'

/**
 * A map with these keys and no others. For an unknown key the message names the key that was probably meant; with
 * several unknown keys there is one line for each, in the order of the issue's `keys`.
 */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const known = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((each, index) => unknownKey(each, known, index)).join('\n')
        : `expected a map with ${known.length === 1 ? 'the key' : 'keys of'} ${known.join(', ')}`,
  })
}

/** A key with a default, written as in the file. The default goes through the same checks as a written value. */
export function key<Schema extends z.ZodType>(
  schema: Schema,
  defaultValue: NonNullable<z.input<Schema>>,
  description: string,
) {
  return schema.prefault(defaultValue).meta({ description })
}

/** A key that may be left out. */
export function optional<Schema extends z.ZodType>(schema: Schema, description: string) {
  return schema.optional().meta({ description })
}

/** A key that must be there. */
export function required<Schema extends z.ZodType>(schema: Schema, description: string) {
  return schema.meta({ description })
}

/** A longer word is no mistyped one. */
const wordCharsMax = 100

/** Among more names than these a word is not looked for: each comparison takes a microsecond. */
const knownMax = 1000

/** The entry of `known` that was probably meant by `word`, if one is near enough. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > wordCharsMax || known.length > knownMax) return undefined
  let best: string | undefined
  // Two letters that changed places count as two; the shorter a word, the more alike all words are.
  let bestDistance = word.length < 4 ? 2 : Math.min(4, Math.floor(word.length / 3) + 2)
  for (const candidate of known) {
    const distance = leven(plain(word), plain(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `strip_prefix`, `strip-prefix` and `StripPrefix` are all `stripPrefix`. */
function plain(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '')
}

function unknownKey(word: string, known: readonly string[], index: number): string {
  // It will not be shown.
  if (index >= PROBLEMS_MAX) return 'unknown key'
  const meant = nearest(word, known)
  return meant === undefined
    ? `unknown key; known here: ${known.join(', ')}`
    : `unknown key, did you mean "${meant}"?`
}
