/** What becomes of fields by their names, which of them a client may name in Connection, and which names look like others. */

import type { Fields } from '../errors.ts'
import { fieldValues, hopByHop, listItems } from './headers.ts'

/**
 * What becomes of a client's field, by lower-case name:
 * `keep` in spite of being hop-by-hop, since the body's framing is passed on; `drop` for good, or since the gateway makes
 * its own; `trusted` kept only from a trusted proxy; the others have a rule of their own.
 */
export type Fate =
  | 'keep'
  | 'drop'
  | 'trusted'
  | 'forwarded'
  | 'host'
  | 'subprotocol'
  | 'tracestate'
  | 'h2c'

export const fates: ReadonlyMap<string, Fate> = new Map<string, Fate>([
  ...[...hopByHop].map((name) => [name, 'drop'] as const),
  ['transfer-encoding', 'keep'],
  ['forwarded', 'drop'],
  ['x-forwarded-for', 'drop'],
  ['x-forwarded-proto', 'drop'],
  ['x-forwarded-host', 'drop'],
  ['x-forwarded-port', 'drop'],
  // From trusted proxies, too: most of them do not know it, and pass on what their clients have made up.
  ['x-forwarded-client-cert', 'drop'],
  ['x-request-id', 'drop'],
  ['traceparent', 'drop'],
  ['x-auth-user', 'drop'],
  // No client has a use for it, and CGI-like upstreams turn it into HTTP_PROXY, their proxy for outgoing requests.
  ['proxy', 'drop'],
  ['x-real-ip', 'drop'],
  // Some frameworks take the path from these: it would not be the one that the route was chosen by.
  ['x-original-url', 'trusted'],
  ['x-rewrite-url', 'trusted'],
  ['host', 'host'],
  ['sec-websocket-protocol', 'subprotocol'],
  ['tracestate', 'tracestate'],
  ['http2-settings', 'h2c'],
])

/** Besides those that have a fate of their own: credentials, what frames the body, and what ends loops. */
const reliedOn: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'cookie',
  'origin',
  'via',
])

const reliedOnFamilies = ['x-forwarded-', 'x-auth-', 'sec-websocket-'] as const

/**
 * Fields that upstreams rely on: who the client is, its credentials, the framing and the handshake. A client may neither
 * have them removed by way of Connection, nor send them under a name that only looks different, nor in a trailer.
 */
export function isProtected(alias: string): boolean {
  return (
    fates.has(alias) ||
    reliedOn.has(alias) ||
    reliedOnFamilies.some((family) => alias.startsWith(family))
  )
}

/**
 * Which field CGI, WSGI, PHP and others take a field for, by its lower-case name: X_Auth_User, X.Auth.User and X~Auth~User
 * are X-Auth-User there, since all but letters and digits becomes the same character. Every name that is compared for
 * protection is compared so.
 */
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

/** Options of Connection that name no field, or one that goes in any case. */
const plainOptions: ReadonlySet<string> = new Set(['close', 'keep-alive', 'upgrade'])

/**
 * RFC 9110 7.6.1: a proxy removes the fields that Connection names. Their aliases, without those of protected fields;
 * undefined where none is left.
 */
export function namedByConnection(fields: Fields): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined
  for (const option of listItems(fieldValues(fields, 'connection'))) {
    const lower = option.toLowerCase()
    if (plainOptions.has(lower)) continue
    const alias = aliasOf(lower)
    if (isProtected(alias)) continue
    named ??= new Set()
    named.add(alias)
  }
  return named
}
