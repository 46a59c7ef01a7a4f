/**
 * Reads what later steps need to know of a request, out of its head and its connection. It refuses requests that two
 * readers could understand in two ways, and believes `trustedProxies` alone about anybody else.
 */

import { Refusal, type Fields } from '../errors.ts'
import { plainAddress } from './address-set.ts'
import { parseAuthority, type Authority } from './authority.ts'
import type { ClientCertificate } from './client-certificate.ts'
import { ownForwarded, trustedForwarded, type Forwarded, type Trust } from './forwarded.ts'
import { fieldValues, listItems } from './headers.ts'
import { onlyValue, requestIdOf, traceparentOf } from './identifiers.ts'
import { parseTarget } from './target.ts'

/** What the listener knows of the connection that a request came over. */
export interface Connection {
  /** The peer's address as the socket tells it; empty for a unix socket. */
  readonly peerAddress: string
  readonly encrypted: boolean
  /** The listener's port; undefined for a unix socket. */
  readonly localPort: number | undefined
  /** Set for a stream of HTTP/2, whose request is told as one of HTTP/1.1; `connects`: it was an extended CONNECT (RFC 8441). */
  readonly http2?: { readonly connects: boolean } | undefined
  /** The peer speaks for somebody of whom it tells no address: nothing that he says of others counts. */
  readonly isAnonymous?: boolean
  /** Its listener serves nothing and sends clients to https at this port. */
  readonly httpsPort?: number | undefined
  /** What the peer has shown to a listener that asks for it; undefined where it has shown none. */
  readonly certificate?: ClientCertificate | undefined
}

/** A request head as the parser gives it: nothing is checked beyond the grammar. */
export interface RequestHead {
  readonly method: string
  /** The request target as sent. */
  readonly target: string
  readonly httpVersion: '1.0' | '1.1'
  readonly fields: Fields
}

/** Everything that later steps may know of a request. Frozen. */
export interface RequestFacts {
  /** Taken over from a trusted proxy, else made. */
  readonly requestId: string
  /** W3C trace context; taken over from a trusted proxy, else made. */
  readonly traceparent: string
  readonly method: string
  /** In origin form (`/path?query`), otherwise as sent but for bytes above 0x7F, which are encoded; or `*` for OPTIONS. */
  readonly target: string
  /** The path that routes are matched with: percent-encoded unreserved characters decoded, dot segments removed, slashes merged. */
  readonly path: string
  /** Other paths as which an upstream may read this target (dot segments kept, encoded slashes decoded, ...), without `path` itself; usually empty. */
  readonly otherPaths: readonly string[]
  /** The raw query without its `?`; empty when there is none. */
  readonly query: string
  /** Host as sent or as the absolute-form target names it, with its port; empty for HTTP/1.0 without one. */
  readonly authority: string
  /**
   * The host that the client asked for, in lower case, without its port and without a trailing dot: that of `authority`,
   * or what a trusted proxy says in X-Forwarded-Host or Forwarded.
   */
  readonly host: string
  /** That of its head. What came over HTTP/2 has been made HTTP/1.1. */
  readonly httpVersion: '1.0' | '1.1'
  /** See `Connection`. */
  readonly http2?: Connection['http2']
  /** As received. */
  readonly fields: Fields
  /** The address of the client: the peer's, or what trusted proxies say of it. IPv4-mapped addresses are plain IPv4. Empty for a unix peer that tells nothing. */
  readonly clientIp: string
  /** Whether the peer is in `trustedProxies`. */
  readonly peerTrusted: boolean
  readonly proto: 'http' | 'https'
  /** The forwarded fields to send on; see `forwarded.ts`. */
  readonly forwarded: Forwarded
  /** What the gateway adds to Via: the version that the request came by, and its pseudonym. Undefined for none. */
  readonly via?: string | undefined
  /** The Upgrade tokens asked for, in the client's order and spelling; empty when there is none. */
  readonly upgrade: readonly string[]
  /** A WebSocket handshake whose Upgrade field a trusted proxy has stripped: `upgrade` is `['websocket']` all the same. */
  readonly stripped: boolean
  /** The same from a peer that is not trusted: it is plain HTTP, which hardly anybody wanted. */
  readonly lostUpgrade?: true
  /** Of the peer: a proxy in front shows its own. */
  readonly certificate?: ClientCertificate | undefined
}

/**
 * Refuses with E_METHOD_DENIED (TRACE, CONNECT), E_TARGET_INVALID, E_TARGET_AMBIGUOUS, E_HOST_INVALID, E_BODY_MALFORMED,
 * E_WEBSOCKET_REQUEST and E_FORWARDED_INVALID.
 */
export function readFacts(
  head: RequestHead,
  connection: Connection,
  trust: Trust,
): RequestFacts | Refusal {
  const { method, httpVersion, fields } = head
  if (DENIED_METHOD.test(method)) return methodDenied(method)
  const target = parseTarget(method, head.target)
  if (target instanceof Refusal) return target
  const authority = readAuthority(head, target.authority)
  if (authority instanceof Refusal) return authority
  const broken = brokenFraming(head)
  if (broken !== undefined) return new Refusal('E_BODY_MALFORMED', { cause: broken })

  const { localPort } = connection
  const peer = plainAddress(connection.peerAddress) ?? ''
  // A TCP peer that is already gone has no address either: it must not pass for a unix socket's.
  const isSomebody = connection.isAnonymous !== true && (peer !== '' || localPort === undefined)
  const peerTrusted = isSomebody && trust.trusted.has(peer)
  // A proxy cannot have stripped what HTTP/2 does not have.
  const mayBeStripped = isSomebody && connection.http2 === undefined
  const asked = readUpgrade(head, mayBeStripped ? (peerTrusted ? 'trusted' : 'strange') : 'never')
  if (asked instanceof Refusal) return asked

  const proto = connection.encrypted ? 'https' : 'http'
  const own = { peer, proto, authority, localPort } as const
  const told = peerTrusted ? trustedForwarded(fields, own, trust) : undefined
  if (told instanceof Refusal) return told
  const forwarded = told?.forwarded ?? ownForwarded(own, trust.forwarded)
  return Object.freeze<RequestFacts>({
    requestId: requestIdOf(fields, peerTrusted),
    traceparent: traceparentOf(fields, peerTrusted),
    method,
    target: target.target,
    path: target.path,
    otherPaths: target.otherPaths,
    query: target.query,
    authority: authority.text,
    host: told?.authority?.host ?? authority.host,
    httpVersion,
    ...(connection.http2 && { http2: connection.http2 }),
    fields,
    clientIp: told?.clientIp ?? peer,
    peerTrusted,
    proto: forwarded.proto,
    forwarded,
    ...(trust.pseudonym !== undefined && {
      via: `${versionOf(head, connection)} ${trust.pseudonym}`,
    }),
    upgrade: asked.tokens,
    stripped: asked.stripped,
    ...(asked.lost && { lostUpgrade: true }),
    ...(connection.certificate && { certificate: connection.certificate }),
  })
}

function versionOf({ httpVersion }: RequestHead, { http2 }: Connection): string {
  return http2 === undefined ? httpVersion : '2.0'
}
/** However it is spelled: not everybody behind us tells a method's case apart, as RFC 9110 9.1 asks. */
const DENIED_METHOD = /^(?:trace|connect)$/i

/** RFC 9110 15.5.6: a 405 says what would do. */
export function methodDenied(method: string): Refusal {
  const fields = ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']
  return new Refusal('E_METHOD_DENIED', { cause: `the method ${method}`, fields })
}

/** RFC 9112 3.2: HTTP/1.1 needs one Host, HTTP/1.0 may have one, and an absolute-form target's authority replaces it. */
function readAuthority(
  { fields, httpVersion }: RequestHead,
  ofTarget: Authority | undefined,
): Authority | Refusal {
  const hosts = fieldValues(fields, 'host')
  const [text] = hosts
  if (hosts.length > 1)
    return new Refusal('E_HOST_INVALID', { cause: `${hosts.length} Host fields` })
  if (text === undefined) {
    if (httpVersion === '1.1') return new Refusal('E_HOST_INVALID', { cause: 'no Host field' })
    return ofTarget ?? noHost
  }
  // RFC 9112 3.2: a client whose target has no authority sends an empty Host. The docker CLI does over unix sockets.
  const authority = text === '' ? noHost : parseAuthority(text)
  if (authority === undefined) {
    return new Refusal('E_HOST_INVALID', { cause: `the host ${JSON.stringify(text)}` })
  }
  return ofTarget ?? authority
}

const noHost: Authority = { text: '', host: '', port: undefined }

/**
 * What makes a body's end ambiguous, or undefined. RFC 9112 6.1 and 6.3 let a server repair some of these; a gateway that
 * passes the framing on must not, since the next reader may repair it in another way.
 */
export function brokenFraming({ fields, httpVersion }: RequestHead): string | undefined {
  const codings = fieldValues(fields, 'transfer-encoding')
  const lengths = fieldValues(fields, 'content-length')
  const [coding] = codings
  const [length] = lengths
  if (coding !== undefined) {
    if (length !== undefined) return 'both Transfer-Encoding and Content-Length'
    if (httpVersion === '1.0') return 'Transfer-Encoding in HTTP/1.0'
    if (codings.length > 1 || coding.toLowerCase() !== 'chunked') {
      return `the transfer coding ${JSON.stringify(codings.join(', '))}`
    }
  }
  if (length !== undefined && (lengths.length > 1 || !/^\d{1,15}$/.test(length))) {
    return `the length ${JSON.stringify(lengths.join(', '))}`
  }
  return undefined
}

interface AskedUpgrade {
  readonly tokens: readonly string[]
  readonly stripped: boolean
  readonly lost?: true
}

const noUpgrade: AskedUpgrade = { tokens: [], stripped: false }
const strippedWebsocket: AskedUpgrade = { tokens: ['websocket'], stripped: true }
const lostWebsocket: AskedUpgrade = { ...noUpgrade, lost: true }

/** RFC 9110 7.8: protocol-name ["/" protocol-version], each a token. */
const PROTOCOL = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?$/
const TOKENS_MAX = 16

/**
 * Upgrade counts only if Connection names it, and not in HTTP/1.0 (RFC 9110 7.8). A WebSocket handshake from a trusted
 * proxy counts without it. `stripper`: what the peer is that may have removed it.
 */
function readUpgrade(
  head: RequestHead,
  stripper: 'trusted' | 'strange' | 'never',
): AskedUpgrade | Refusal {
  const { method, fields } = head
  const tokens = head.httpVersion === '1.1' ? upgradeTokens(fields) : noUpgrade.tokens
  if (tokens.length === 0) {
    if (stripper === 'never' || method !== 'GET' || !isStrippedHandshake(fields)) return noUpgrade
    return stripper === 'trusted' ? strippedWebsocket : lostWebsocket
  }
  const others = tokens.filter((token) => token.toLowerCase() !== 'websocket')
  if (others.length === tokens.length) return { tokens, stripped: false }
  if (method === 'GET' && websocketKey(fields) !== undefined) return { tokens, stripped: false }
  if (others.length > 0) return { tokens: others, stripped: false }
  const cause =
    method === 'GET'
      ? 'no valid Sec-WebSocket-Key, or several'
      : `a WebSocket handshake by ${method}`
  return new Refusal('E_WEBSOCKET_REQUEST', { cause })
}

function upgradeTokens(fields: Fields): readonly string[] {
  const values = fieldValues(fields, 'upgrade')
  if (values.length === 0) return noUpgrade.tokens
  const options = listItems(fieldValues(fields, 'connection'))
  if (!options.some((option) => option.toLowerCase() === 'upgrade')) return noUpgrade.tokens
  return listItems(values)
    .slice(0, TOKENS_MAX)
    .filter((token) => PROTOCOL.test(token))
}

function isStrippedHandshake(fields: Fields): boolean {
  return (
    websocketKey(fields) !== undefined && onlyValue(fields, 'sec-websocket-version') !== undefined
  )
}

/** RFC 6455 4.1: 16 bytes in base64. */
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/

/** The value of Sec-WebSocket-Key, if there is exactly one and it is valid. */
export function websocketKey(fields: Fields): string | undefined {
  const key = onlyValue(fields, 'sec-websocket-key')
  return key !== undefined && WEBSOCKET_KEY.test(key) ? key : undefined
}
