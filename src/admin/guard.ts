/**
 * Who may call: the token, and against pages of other sites that a browser on the operator's machine has open, the names
 * in Host, Origin and Sec-Fetch-Site. A page can make a browser send requests to loopback, and by DNS rebinding read the
 * answers under a name of its own; it cannot choose these three fields.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { AdminConfig } from '../config/config.ts'
import { addressSet } from '../request/address-set.ts'
import { problem, type Answer } from './problem.ts'

const loopback = addressSet(['127.0.0.0/8', '::1'])

/** Fields that proxies add: who stands behind one on this machine is not on it himself. */
const PROXY_FIELDS = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'] as const

export class Guard {
  readonly #isUnix: boolean
  readonly #tokenDigest: Buffer | undefined
  readonly #hosts: ReadonlySet<string>

  constructor({ address, token, hosts }: AdminConfig) {
    // Not by the connection: one that is closed meanwhile has no address, like that of a unix socket.
    this.#isUnix = address.kind === 'unix'
    this.#tokenDigest = token === undefined ? undefined : digest(token)
    this.#hosts = new Set(hosts)
  }

  /** For pages that are open where no token is configured. The refusal, or undefined for whoever may read them. */
  refusePage(request: IncomingMessage): Answer | undefined {
    const refusal = this.#refuseHost(request)
    return refusal ?? (this.#tokenDigest === undefined ? undefined : this.#refuseToken(request))
  }

  /** For the API. The refusal, or undefined for whoever may call. */
  refuseCall(request: IncomingMessage): Answer | undefined {
    return this.#refuseHost(request) ?? refuseOtherSites(request) ?? this.#refuseCaller(request)
  }

  #refuseHost({ headers }: IncomingMessage): Answer | undefined {
    // No browser reaches a unix socket.
    if (this.#isUnix) return undefined
    const name = hostName(headers.host ?? '')
    if (name !== undefined && (isOwnName(name) || this.#hosts.has(name))) return undefined
    return problem(
      421,
      'The Host of the request is none of this admin address. Call it by an IP address or as localhost, or add the name to admin.hosts in the config.',
    )
  }

  #refuseCaller(request: IncomingMessage): Answer | undefined {
    if (this.#tokenDigest !== undefined) return this.#refuseToken(request)
    const { socket, headers } = request
    const isProxied = PROXY_FIELDS.some((name) => headers[name] !== undefined)
    const isLocal = this.#isUnix || loopback.has(socket.remoteAddress ?? 'none')
    if (isLocal && !isProxied) return undefined
    return problem(
      403,
      `Without admin.token in the config the API answers this machine alone, ${isProxied ? 'and not through a proxy' : 'and this request is from another one'}. Set admin.token and send it as "Authorization: Bearer TOKEN".`,
    )
  }

  #refuseToken({ headers }: IncomingMessage): Answer | undefined {
    const [, token] = /^Bearer +([^ ]+) *$/i.exec(headers.authorization ?? '') ?? []
    const expected = this.#tokenDigest
    // Digests have one length, whatever is sent: the comparison tells nothing of the token by its time.
    if (token !== undefined && expected !== undefined && timingSafeEqual(digest(token), expected)) {
      return undefined
    }
    const detail =
      token === undefined
        ? 'The token of admin.token is asked for: send it as "Authorization: Bearer TOKEN".'
        : 'The token is not that of admin.token.'
    const challenge = `Bearer realm="upgate admin"${token === undefined ? '' : ', error="invalid_token"'}`
    return problem(401, detail, { headers: { 'WWW-Authenticate': challenge } })
  }
}

function refuseOtherSites({ headers }: IncomingMessage): Answer | undefined {
  const site = headers['sec-fetch-site']
  const isOther =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (headers.origin !== undefined && !isSameOrigin(headers.origin, headers.host))
  return isOther ? problem(403, 'Pages of other origins may not call this API.') : undefined
}

/** The scheme is left out: a proxy may have ended TLS. The ports that go without saying are those of the origin's. */
function isSameOrigin(origin: string, host = ''): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: expected } = new URL(origin)
  const own = `${protocol}//${host}`
  return expected !== '' && URL.canParse(own) && new URL(own).host === expected
}

/** The name in Host, in lower case and without its port and the brackets of IPv6; undefined for what is no Host. */
function hostName(host: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d*)?$/.exec(host) ?? []
  return (bracketed ?? plain)?.toLowerCase().replace(/\.$/, '')
}

/** Nobody but its owner can be resolved to these. */
function isOwnName(name: string): boolean {
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
