/** What fields are in HTTP/2 (RFC 9113 8.2), whichever way they go. */

import type { OutgoingHttpHeaders } from 'node:http2'
import type { Fields } from '../errors.ts'

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** RFC 9113 8.2.2: who sends them has not understood where it is. */
export const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

/** Lines of these are not one list (RFC 9110 5.3); Node takes all others once. */
const SEPARATE: ReadonlySet<string> = new Set([
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
])

/** RFC 9113 8.2.1, so that it is one line of HTTP/1.1 and no more. */
export function isField(name: string, value: string): boolean {
  return NAME.test(name) && isValue(value)
}

/** The same of a value alone; blanks around it are none of it. */
export function isValue(value: string): boolean {
  return VALUE.test(value) && !/^[\t ]|[\t ]$/.test(value)
}

/** As Node wants them that takes no list of names and values, without those of `leftOut` (lower-case names). */
export function headersOf(fields: Fields, leftOut: ReadonlySet<string>): OutgoingHttpHeaders {
  // Names such as `constructor` are not known before they come.
  const headers = Object.create(null) as OutgoingHttpHeaders
  for (let index = 0; index < fields.length; index += 2) {
    const name = (fields[index] as string).toLowerCase()
    const value = fields[index + 1] as string
    if (leftOut.has(name)) continue
    const known = headers[name]
    if (SEPARATE.has(name)) headers[name] = [...((known as string[] | undefined) ?? []), value]
    else headers[name] = known === undefined ? value : `${String(known)}, ${value}`
  }
  return headers
}
