/**
 * Values of the configuration that name a place in a network: addresses to listen on, endpoints of upstreams, blocks of
 * client addresses, origins, hosts and URLs.
 */

import { isIP, isIPv4, isIPv6 } from 'node:net'

import type { z } from 'zod'

import type { Address, EndpointConfig, ListenerAddress } from './config.ts'
import { addressHint, endpointHint, hostHint, originHint } from './hints.ts'
import { fail, hinted, word } from './scalars.ts'

/** The kernel's limit for the path of a unix socket (sun_path, with its closing NUL). */
const unixPathBytesMax = 107

const hostNamePattern =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/

/** Where to listen: `host:port`, `[::1]:port`, `:port` for all IPv4 addresses, `unix:/path`. */
export function address() {
  const message =
    'expected an address such as 0.0.0.0:8080, localhost:8080, [::1]:8080, :8080 or unix:/run/upgate.sock'
  return word(/^(?:unix:[^\s]*|[^\s/]*:\d{1,5})$/, message, addressHint)
    .transform(parseAddress)
    .meta({ title: 'address' })
}

/** The same, and `systemd` or `systemd:NAME` for sockets that systemd passes. */
export function listenerAddress() {
  const message =
    'expected an address such as 0.0.0.0:8080, localhost:8080, [::1]:8080, :8080, unix:/run/upgate.sock or systemd'
  return word(/^(?:systemd(?::[^\s:]+)?|unix:[^\s]*|[^\s/]*:\d{1,5})$/, message, addressHint)
    .transform((value, context): ListenerAddress => {
      const [, name] = /^systemd(?::(.+))?$/.exec(value) ?? []
      const isPort = name !== undefined && /^\d+$/.test(name)
      if (isPort || !value.startsWith('systemd')) return parseAddress(value, context)
      return { kind: 'systemd', name }
    })
    .meta({ title: 'address' })
}

function parseAddress(value: string, context: z.core.$RefinementCtx): Address {
  if (value.startsWith('unix:')) {
    const path = unixPath(value)
    return path === undefined ? fail(context, unixPathMessage) : { kind: 'unix', path }
  }
  const colon = value.lastIndexOf(':')
  const host = plainHost(value.slice(0, colon) || '0.0.0.0')
  const port = Number(value.slice(colon + 1))
  if (port > 65_535) return fail(context, 'expected a port from 0 to 65535')
  if (host !== undefined) return { kind: 'tcp', host, port }
  const bare = value.slice(0, colon)
  const isBareIPv6 = bare.includes(':') && !bare.startsWith('[')
  const hint = isBareIPv6 ? `; write [${bare}]:${port}` : bare === '*' ? `; write :${port}` : ''
  return fail(context, `"${bare}" is neither a host name nor an IP address${hint}`)
}

/** The canonical text of an address, as in the config. */
export function formatAddress(value: ListenerAddress): string {
  if (value.kind === 'systemd') {
    const { name, fd } = value
    return `systemd${name === undefined ? '' : `:${name}`}${fd === undefined ? '' : `#${fd}`}`
  }
  if (value.kind === 'unix') return `unix:${value.path}`
  return `${isIPv6(value.host) ? `[${value.host}]` : value.host}:${value.port}`
}

/** Whether only this machine can connect to it, as far as the text tells. */
export function isLoopback(value: Address): boolean {
  if (value.kind === 'unix') return true
  const { host } = value
  return host.toLowerCase() === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host)
}

export type EndpointUrl = Omit<EndpointConfig, 'weight' | 'http2'>

/** What `upstream` and `endpoints` accept as a URL. */
export const endpointForms = 'http://host:port, https://host:port, unix:/path or builtin:echo'

/** Whether a text is meant as a URL, rather than as the name of an upstream: a name has no colon and no slash. */
export function looksLikeUrl(value: string): boolean {
  return /[:/]/.test(value)
}

/** Where an endpoint is. */
export function endpointUrl() {
  return word(/[:/]/, `expected a URL: ${endpointForms}`)
    .transform((value, context): EndpointUrl => {
      const endpoint = parseEndpoint(value)
      return typeof endpoint === 'string' ? fail(context, endpoint) : endpoint
    })
    .meta({ title: 'URL' })
}

/** The endpoint that a URL names, or a text that says what is wrong with it. */
export function parseEndpoint(value: string): EndpointUrl | string {
  if (value === 'builtin:echo') {
    return { url: value, address: { kind: 'builtin', name: 'echo' }, tls: false }
  }
  if (value.startsWith('builtin:')) return 'unknown builtin; there is builtin:echo'
  if (value.startsWith('unix:')) {
    const path = unixPath(value)
    return path === undefined
      ? unixPathMessage
      : { url: value, address: { kind: 'unix', path }, tls: false }
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(value)?.[1]?.toLowerCase()
  if (scheme === 'ws') return 'write http:// in place of ws://: the upgrade starts as HTTP'
  if (scheme === 'wss') return 'write https:// in place of wss://: the upgrade starts as HTTP'
  if (scheme !== 'http' && scheme !== 'https') {
    return hinted(`expected a URL: ${endpointForms}`, endpointHint(value))
  }
  return parseHttpEndpoint(value, scheme)
}

function parseHttpEndpoint(value: string, scheme: 'http' | 'https'): EndpointUrl | string {
  const hint = endpointHint(value)
  if (hint !== undefined) return hinted(`expected a URL: ${endpointForms}`, hint)
  const rest = value.slice(scheme.length + 3)
  const authority = /^[^/?#]*/.exec(rest)?.[0] ?? ''
  if (authority.includes('@')) {
    return 'credentials do not belong in a URL; send them with headers.request.set'
  }
  if (rest !== authority && rest !== `${authority}/`) {
    return 'an endpoint has no path and no query; put a path in front of requests with rewrite.addPrefix'
  }
  const [, hostText = '', portText] = /^(.*?)(?::(\d{1,5}))?$/.exec(authority) ?? []
  const host = plainHost(hostText)
  if (host === undefined) return `the URL has no valid host; expected ${endpointForms}`
  const port = portText === undefined ? { http: 80, https: 443 }[scheme] : Number(portText)
  if (port < 1 || port > 65_535) return 'expected a port from 1 to 65535'
  return { url: value, address: { kind: 'tcp', host, port }, tls: scheme === 'https' }
}

/** A CIDR block, a single address, or `unix` for whoever connects over a unix socket. */
export function trustedBlock() {
  const message =
    'expected an IP address, a block of them or unix, such as 10.0.0.0/8, 192.0.2.7, ::1 or unix'
  return addressBlock(message, /^(?:unix|[0-9A-Fa-f:.]+(?:\/\d{1,3})?)$/)
}

/** A CIDR block or a single address. */
export function addressBlock(
  message = 'expected an IP address or a block of them, such as 10.0.0.0/8, 192.0.2.7 or ::1',
  pattern = /^[0-9A-Fa-f:.]+(?:\/\d{1,3})?$/,
) {
  return word(pattern, message)
    .transform((value, context) => {
      if (value === 'unix') return value
      const [ip = '', prefix] = value.split('/')
      const version = isIP(ip)
      if (version === 0) return fail(context, message)
      const bitsMax = version === 4 ? 32 : 128
      return prefix === undefined || Number(prefix) <= bitsMax
        ? value
        : fail(context, `the block of an IPv${version} address ends in /0 to /${bitsMax}`)
    })
    .meta({ title: 'address block' })
}

/** An address of this machine to connect from. */
export function localAddress() {
  const message = 'expected an IP address of this machine, such as 10.0.0.5 or 2001:db8::5'
  return word(/^[0-9A-Fa-f:.]+$/, message)
    .transform((value, context) => {
      const isOne = isIP(value) !== 0 && !/^(?:0\.0\.0\.0|::|::ffff:.*)$/i.test(value)
      return isOne ? value : fail(context, message)
    })
    .meta({ title: 'IP address' })
}

/** The Origin field of a page: `scheme://host[:port]` or `null`. The result is as browsers write it. */
export function origin() {
  const message =
    'expected an origin such as https://app.example.com or https://localhost:3000 (scheme, host and port; no path), or "null" in quotes'
  return word(/^(?:null|[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s/?#@*]+)$/, message, originHint)
    .transform((value, context) => {
      if (value === 'null') return value
      if (!URL.canParse(value)) return fail(context, message)
      // A browser leaves a scheme's own port out. For schemes without one, URL.origin is "null".
      return /^https?:/i.test(value) ? new URL(value).origin : value.toLowerCase()
    })
    .meta({ title: 'origin' })
}

/** A host that a route is for, in lower case: `chat.example.com`, `*.example.com`, an address. */
export function hostPattern() {
  const message =
    'expected a host such as chat.example.com or *.example.com, without a port; leave it out for every host'
  return word(/^\S+$/, message)
    .transform((value, context) => {
      const host = value.toLowerCase().replace(/\.$/, '')
      const plain = host.startsWith('*.') ? host.slice(2) : host
      const isAddress = host.startsWith('[') && isIPv6(host.slice(1, -1))
      if (isAddress || hostNamePattern.test(plain)) return host
      const isForeign = /[^\0-\x7f]/.test(host) && URL.canParse(`http://${plain}`)
      const hint = isForeign ? ` (in ASCII: ${new URL(`http://${plain}`).host})` : ''
      return fail(context, hinted(message + hint, hostHint(host)))
    })
    .meta({ title: 'host' })
}

/** An http or https URL of a service that is asked over fetch: it may have a path and a query. */
export function serviceUrl() {
  const message = 'expected a URL that starts with http:// or https://'
  return word(/^https?:\/\/[^\s]+$/i, message)
    .transform((value, context) => {
      if (!URL.canParse(value)) return fail(context, message)
      const url = new URL(value)
      return url.username === '' && url.password === ''
        ? value
        : fail(context, 'credentials do not belong in a URL')
    })
    .meta({ title: 'URL' })
}

/** A DNS name, as sent in TLS. */
export function serverName() {
  return word(hostNamePattern, 'expected a host name such as chat.example.com').meta({
    title: 'host name',
  })
}

/** A DNS name that a certificate is shown for, in lower case; `*.` in front stands for one label. */
export function certificateName() {
  const message = 'expected a host name such as chat.example.com or *.example.com'
  return word(/^[^\s/]+$/, message)
    .transform((value, context) => {
      const name = value.toLowerCase().replace(/\.$/, '')
      return hostNamePattern.test(name.replace(/^\*\./, '')) ? name : fail(context, message)
    })
    .meta({ title: 'name' })
}

const unixPathMessage = `a unix socket has an absolute path of at most ${unixPathBytesMax} bytes: unix:/run/app.sock`

function unixPath(value: string): string | undefined {
  const path = value.slice('unix:'.length)
  const valid = /^\/[^\0]*[^\0/]$/.test(path) && Buffer.byteLength(path) <= unixPathBytesMax
  return valid ? path : undefined
}

/** A host name or an address without the brackets of IPv6, or undefined. */
function plainHost(host: string): string | undefined {
  if (host.startsWith('[') && host.endsWith(']')) {
    const inner = host.slice(1, -1)
    return isIPv6(inner) ? inner : undefined
  }
  // Names of digits and dots alone are addresses that someone mistyped: 10.0.0.256.
  if (/^[\d.]+$/.test(host)) return isIPv4(host) ? host : undefined
  return hostNamePattern.test(host) ? host : undefined
}
