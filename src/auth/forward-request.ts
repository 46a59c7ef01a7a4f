/** The fields of the question to an authorization server: the client's own, and what the gateway knows of the request. */

import type { RequestFacts } from '../request/facts.ts'
import { aliasOf, isProtected, namedByConnection } from '../request/field-names.ts'
import { hopByHop } from '../request/headers.ts'
import { USER_FIELD } from './identity.ts'

const notAsked: ReadonlySet<string> = new Set([
  ...hopByHop,
  // The question has a host of its own and no body.
  'host',
  'content-length',
  'trailer',
  'expect',
  // The question is no WebSocket handshake. The offered subprotocols stay: a token may be among them.
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  // They are about the resource that is asked for: a 304 or 412 would be taken for a no.
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  // The gateway says these, never the client.
  'forwarded',
  'traceparent',
  'x-real-ip',
  'x-request-id',
  // Some frameworks take the path from it, and CGI-like servers their proxy from the other.
  'x-rewrite-url',
  'proxy',
  USER_FIELD,
])

/** What the check asks by is the client's own, though its answer may give upstreams another one. */
const kept: ReadonlySet<string> = new Set(['authorization', 'cookie', 'origin'])

/** `host` is the authorization server's. `ownFields` are the aliases of those that it makes itself: a client's would be forged. */
export function questionFields(
  facts: RequestFacts,
  host: string,
  ownFields: ReadonlySet<string>,
): string[] {
  const fields = ['Host', host]
  const named = namedByConnection(facts.fields)
  for (let index = 0; index < facts.fields.length; index += 2) {
    const name = facts.fields[index] as string
    const lower = name.toLowerCase()
    const alias = aliasOf(lower)
    if (isMadeHere(alias) || named?.has(alias) === true) continue
    if (alias === lower ? ownFields.has(alias) && !kept.has(alias) : isForged(alias, ownFields))
      continue
    fields.push(name, facts.fields[index + 1] as string)
  }
  addFacts(fields, facts)
  return fields
}

function isMadeHere(alias: string): boolean {
  return notAsked.has(alias) || alias.startsWith('x-forwarded-') || alias.startsWith('x-original-')
}

/** Of a name that is only taken for this one. */
function isForged(alias: string, ownFields: ReadonlySet<string>): boolean {
  return isProtected(alias) || ownFields.has(alias)
}

/**
 * Both dialects: X-Forwarded-* is Traefik's and Caddy's, X-Original-* is what nginx set-ups send. Forwarded has no words
 * for the method and the URI, so it comes only beside them, and where upstreams get it.
 */
function addFacts(fields: string[], facts: RequestFacts): void {
  const { method, target, forwarded, clientIp, certificate } = facts
  const path = target.startsWith('/') ? target : ''
  fields.push('X-Forwarded-Method', method)
  fields.push('X-Forwarded-Proto', forwarded.proto)
  fields.push('X-Forwarded-Host', forwarded.host)
  fields.push('X-Forwarded-Port', forwarded.port)
  fields.push('X-Forwarded-Uri', target)
  fields.push('X-Forwarded-For', forwarded.for)
  if (certificate !== undefined && 'forwarded' in certificate) {
    fields.push('X-Forwarded-Client-Cert', certificate.forwarded)
  }
  if (forwarded.field !== undefined) fields.push('Forwarded', forwarded.field)
  fields.push('X-Original-Method', method)
  fields.push('X-Original-URI', target)
  fields.push('X-Original-URL', `${forwarded.proto}://${forwarded.host}${path}`)
  fields.push('X-Real-IP', clientIp)
  fields.push('X-Request-Id', facts.requestId)
  fields.push('traceparent', facts.traceparent)
  // A server that is behind this gateway itself, and guarded by its own answer, would be asked for ever.
  if (facts.via !== undefined) fields.push('Via', facts.via)
}
