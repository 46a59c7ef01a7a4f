/** Which names of fields a client may use for what: those that Connection may name, and those that look like others. */

import type { Fields } from '../errors.ts'
import { fieldValues, hopByHop, listItems } from '../request/headers.ts'

/** Options of Connection that name no field, or one that goes in any case. */
const plainOptions: ReadonlySet<string> = new Set(['close', 'keep-alive', 'upgrade'])

/** RFC 9110 7.6.1: a proxy removes the fields that Connection names. Undefined where it names none. */
export function namedByConnection(fields: Fields): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined
  for (const option of listItems(fieldValues(fields, 'connection'))) {
    const lower = option.toLowerCase()
    if (plainOptions.has(lower) || isProtected(lower)) continue
    named ??= new Set()
    named.add(lower)
  }
  return named
}

const protectedNames: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'cookie',
  'forwarded',
  'host',
  'origin',
  'traceparent',
  'tracestate',
  'x-auth-user',
  'x-real-ip',
  'x-request-id',
  ...hopByHop,
])

/**
 * Fields that upstreams rely on: who the client is, its credentials, the framing and the handshake. A client may neither
 * have them removed by way of Connection, nor send them under a name that only looks different.
 */
export function isProtected(lower: string): boolean {
  return (
    protectedNames.has(lower) ||
    lower.startsWith('x-forwarded-') ||
    lower.startsWith('sec-websocket-')
  )
}

/** CGI, WSGI and others read `X_Auth_User` as X-Auth-User: all but letters and digits becomes the same character. */
export function aliasOf(lower: string): string {
  return /[^a-z0-9-]/.test(lower) ? lower.replace(/[^a-z0-9]/g, '-') : lower
}

const aliasSets = new WeakMap<readonly string[], ReadonlySet<string>>()

/** The aliases of a list that lives as long as the configuration: they are made once. */
export function aliasesOf(names: readonly string[]): ReadonlySet<string> {
  let aliases = aliasSets.get(names)
  if (aliases === undefined) {
    aliases = new Set(names.map(aliasOf))
    aliasSets.set(names, aliases)
  }
  return aliases
}
