/** The fields of the question to an authorization server: the client's own, and what the gateway knows of the request. */

import type { Fields } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { fieldValues, hopByHop, listItems } from '../request/headers.ts'
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
  USER_FIELD,
])

/** Naming these in Connection does not make them hop-by-hop: no client may hide its credentials or its origin. */
const kept: ReadonlySet<string> = new Set(['authorization', 'cookie', 'origin'])

/** `host` is the authorization server's. `ownFields` are those that it makes itself: a client's would be forged. */
export function questionFields(
  facts: RequestFacts,
  host: string,
  ownFields: ReadonlySet<string>,
): string[] {
  const fields = ['Host', host]
  const named = namedInConnection(facts.fields)
  for (let index = 0; index < facts.fields.length; index += 2) {
    const name = facts.fields[index] as string
    // Servers behind CGI-like interfaces read X_Forwarded_For as X-Forwarded-For.
    const key = name.toLowerCase().replaceAll('_', '-')
    if (notAsked.has(key) || key.startsWith('x-forwarded-') || key.startsWith('x-original-'))
      continue
    if ((named.has(key) || ownFields.has(key)) && !kept.has(key)) continue
    fields.push(name, facts.fields[index + 1] as string)
  }
  addFacts(fields, facts)
  return fields
}

function namedInConnection(fields: Fields): ReadonlySet<string> {
  return new Set(listItems(fieldValues(fields, 'connection')).map((name) => name.toLowerCase()))
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
