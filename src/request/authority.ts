/** Parses `host[:port]`, the value of Host and the authority of a target (RFC 9110 7.2, RFC 3986 3.2). */

import { SocketAddress, isIPv6 } from 'node:net'

export interface Authority {
  /** As sent. */
  readonly text: string
  /** In lower case, without a trailing dot; IPv6 in brackets and compressed. Empty only where no host is known. */
  readonly host: string
  readonly port: number | undefined
}

/** RFC 3986 allows more in a name, such as `%2e` and `,`; no name has it, and readers disagree on it. */
const NAME = /^([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?(?::(\d{0,5}))?$/
const LITERAL = /^\[([0-9A-Fa-f:.]+)\](?::(\d{0,5}))?$/
/** RFC 1035 2.3.4: 253 characters and a trailing dot. */
const HOST_CHARS_MAX = 254
const PORT_MAX = 65_535

/** Undefined for what is not valid, userinfo among it. */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > HOST_CHARS_MAX + ':65535'.length) return undefined
  const isLiteral = text.startsWith('[')
  const match = (isLiteral ? LITERAL : NAME).exec(text)
  if (match === null) return undefined
  const [, name = '', portText] = match
  const port = portText === undefined || portText === '' ? undefined : Number(portText)
  if (port !== undefined && port > PORT_MAX) return undefined
  if (!isLiteral) return { text, host: name.toLowerCase(), port }
  return isIPv6(name) ? { text, host: bracketed(name), port } : undefined
}

/** A host as routes name it, in the spelling of `Authority.host`. */
export function plainHost(host: string): string {
  return parseAuthority(host)?.host ?? host.toLowerCase()
}

function bracketed(address: string): string {
  return `[${new SocketAddress({ address, family: 'ipv6' }).address}]`
}
