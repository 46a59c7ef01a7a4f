/**
 * From the fields of an HTTP/2 request to the head of the same request in HTTP/1.1 (RFC 9113 8, RFC 8441 5). It is strict on
 * its own, whatever the HTTP/2 library has checked: a byte that means another thing over there is a way past every rule.
 */

import { randomBytes } from 'node:crypto'
import { Refusal, type Fields } from '../errors.ts'
import type { Framing } from '../http1/framing.ts'
import { connectionSpecific, isField, isValue } from '../http2/fields.ts'
import { methodDenied } from '../request/facts.ts'

export interface StreamRequest {
  readonly method: string
  /** An extended CONNECT for a WebSocket: the head asks for an upgrade then. */
  readonly connects: boolean
  /** Latin1, up to the empty line. */
  readonly head: string
  /** How the body is to be written behind it. */
  readonly body: Framing
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** No blank, which would end it in a request line. */
const TARGET = /^(?:\/[\x21-\x7e\x80-\xff]*|\*)$/
const LENGTH = /^\d{1,15}$/

/**
 * `ended`: there is no body. A Refusal is answered: E_METHOD_DENIED for CONNECT without a protocol, E_PROTOCOL_UNSERVED for
 * one to another protocol than websocket. A malformed request is not (RFC 9113 8.1.1).
 */
export function readStreamRequest(
  fields: Fields,
  ended: boolean,
): StreamRequest | 'malformed' | Refusal {
  const pseudo = new Map<string, string>()
  const regular: string[] = []
  const cookies: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const value = fields[index + 1] as string
    if (name.startsWith(':')) {
      if (!isValue(value) || regular.length > 0 || pseudo.has(name)) return 'malformed'
      pseudo.set(name, value)
    } else if (!isField(name, value) || isConnectionSpecific(name, value)) {
      return 'malformed'
    } else if (name === 'cookie') {
      // RFC 9113 8.2.3: it may come in crumbs. Its place is that of the first one.
      if (cookies.length === 0) regular.push(name, '')
      cookies.push(value)
    } else regular.push(name, value)
  }
  if (cookies.length > 0) regular[regular.indexOf('cookie') + 1] = cookies.join('; ')
  return requestOf(pseudo, regular, ended)
}

function isConnectionSpecific(name: string, value: string): boolean {
  return connectionSpecific.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')
}

function requestOf(
  pseudo: ReadonlyMap<string, string>,
  fields: Fields,
  ended: boolean,
): StreamRequest | 'malformed' | Refusal {
  const method = pseudo.get(':method') ?? ''
  const path = pseudo.get(':path') ?? ''
  const protocol = pseudo.get(':protocol')
  if (!TOKEN.test(method)) return 'malformed'
  if (method === 'CONNECT' && protocol === undefined) return methodDenied(method)
  if (!TARGET.test(path)) return 'malformed'
  const host = hostFields(pseudo.get(':authority'), fields)
  if (protocol === undefined) {
    const body = bodyOf(fields, ended)
    return body === undefined ? 'malformed' : plainRequest({ method, path, host, fields, body })
  }
  if (method !== 'CONNECT' || valueOf(fields, 'content-length') !== undefined) return 'malformed'
  if (protocol.toLowerCase() !== 'websocket') {
    return new Refusal('E_PROTOCOL_UNSERVED', { cause: `CONNECT to ${JSON.stringify(protocol)}` })
  }
  const head = [
    `GET ${path} HTTP/1.1`,
    ...host,
    'Connection: Upgrade, close',
    'Upgrade: websocket',
    // RFC 8441 5: HTTP/2 has no key of the client's.
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...lines(fields, ['host', 'sec-websocket-key']),
    '\r\n',
  ].join('\r\n')
  return { method, connects: true, head, body: { kind: 'none' } }
}

function plainRequest({
  method,
  path,
  host,
  fields,
  body,
}: {
  method: string
  path: string
  host: Fields
  fields: Fields
  body: Framing
}): StreamRequest {
  const head = [
    `${method} ${path} HTTP/1.1`,
    ...host,
    'Connection: close',
    ...lines(fields, ['host']),
    ...(body.kind === 'chunked' ? ['Transfer-Encoding: chunked'] : []),
    '\r\n',
  ].join('\r\n')
  return { method, connects: false, head, body }
}

/** RFC 9113 8.3.1: `:authority` is Host. Where both are there and differ both go on, for the refusal that two hosts get. */
function hostFields(authority: string | undefined, fields: Fields): string[] {
  const host = valueOf(fields, 'host')
  const hosts = [authority, host?.toLowerCase() === authority?.toLowerCase() ? undefined : host]
  return hosts.filter((value) => value !== undefined).map((value) => `Host: ${value}`)
}

/** RFC 9113 8.1.1: a length that is not that of the body is malformed. */
function bodyOf(fields: Fields, ended: boolean): Framing | undefined {
  const length = valueOf(fields, 'content-length')
  if (length !== undefined && !LENGTH.test(length)) return undefined
  const bytes = Number(length ?? 0)
  if (ended) return bytes > 0 ? undefined : { kind: 'none' }
  return length === undefined ? { kind: 'chunked' } : { kind: 'length', bytes }
}

/** All values of a field in one; several lengths are no length. */
function valueOf(fields: Fields, name: string): string | undefined {
  const values = fields.filter((_, index) => index % 2 === 1 && fields[index - 1] === name)
  return values.length === 0 ? undefined : values.join(', ')
}

function lines(fields: Fields, without: readonly string[]): string[] {
  const written: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (!without.includes(name)) written.push(`${name}: ${fields[index + 1]}`)
  }
  return written
}
