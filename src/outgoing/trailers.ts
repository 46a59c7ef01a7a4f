/** Picks the trailers that may go on, either way. */

import type { Fields } from '../errors.ts'

/** RFC 9110 6.5.1: fields that frame, route, authenticate or describe the content mean nothing good after it. */
const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'content-length',
  'content-encoding',
  'content-range',
  'content-type',
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'upgrade',
  'te',
  'trailer',
  'expect',
  'max-forwards',
  'cache-control',
  'range',
  'authorization',
  'proxy-authorization',
  'proxy-authenticate',
  'www-authenticate',
  'cookie',
  'set-cookie',
  'forwarded',
  'location',
  'retry-after',
  'vary',
  'date',
  'age',
  'expires',
])

/** Names that only the gateway gives. */
const FORBIDDEN_PREFIXES = ['x-forwarded-', 'x-auth-', 'x-request-id', 'traceparent']

/** The trailers that go on, in their order, case and number. */
export function passedTrailers(raw: Fields): Fields {
  const passed: string[] = []
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] as string
    const lower = name.toLowerCase()
    if (FORBIDDEN_TRAILERS.has(lower)) continue
    if (FORBIDDEN_PREFIXES.some((prefix) => lower.startsWith(prefix))) continue
    passed.push(name, raw[index + 1] as string)
  }
  return passed
}
