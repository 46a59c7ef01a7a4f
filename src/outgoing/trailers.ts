/** Picks the trailers that may go on, either way: they lose what fields lose, and what means nothing behind a body. */

import type { FieldEdits } from '../config/config.ts'
import type { Fields } from '../errors.ts'
import { compiled } from './edits.ts'
import { aliasOf, aliasesOf, isProtected } from '../request/field-names.ts'

/**
 * RFC 9110 6.5.1: fields that frame, route, authenticate or describe the content mean nothing good after it. Those that are
 * protected go as well.
 */
const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-range',
  'content-type',
  'trailer',
  'expect',
  'max-forwards',
  'cache-control',
  'range',
  'www-authenticate',
  'set-cookie',
  'location',
  'retry-after',
  'vary',
  'date',
  'age',
  'expires',
])

/** What fields lose on the same way besides: the route's edits, and the names that only the gateway and its checks give. */
export interface LostFields {
  readonly edits: FieldEdits
  /** Lower-case names. */
  readonly ownFields?: readonly string[]
}

/** The trailers that go on, in their order, case and number. */
export function passedTrailers(raw: Fields, lost?: LostFields): Fields {
  const names = lost === undefined ? undefined : compiled(lost.edits).names
  const own = lost?.ownFields === undefined ? undefined : aliasesOf(lost.ownFields)
  const passed: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string
    const lower = name.toLowerCase()
    const alias = aliasOf(lower)
    if (FORBIDDEN_TRAILERS.has(alias) || isProtected(alias)) continue
    if (own?.has(alias) === true || names?.has(alias) === true || names?.has(lower) === true)
      continue
    passed.push(name, raw[index + 1] as string)
  }
  return passed
}
