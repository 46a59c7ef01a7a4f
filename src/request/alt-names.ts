/** Reads the alternative names of a certificate (RFC 5280 4.2.1.6) out of the text that node makes of them. */

import type { X509Certificate } from 'node:crypto'
import { isIPv6, SocketAddress } from 'node:net'

export interface AltName {
  readonly type: 'DNS' | 'URI' | 'email' | 'IP'
  readonly value: string
}

const types: ReadonlyMap<string, AltName['type']> = new Map([
  ['DNS', 'DNS'],
  ['URI', 'URI'],
  ['email', 'email'],
  ['IP Address', 'IP'],
])

/** `TYPE:value`, and a value that could be mistaken for the end of it and more names is a JSON string. */
const NAME = /([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, |$)/y

/** In their order, without those of other types. Empty where there are none, or where the text cannot be understood. */
export function altNamesOf({ subjectAltName: text }: X509Certificate): readonly AltName[] {
  if (text === undefined) return []
  const names: AltName[] = []
  let end = 0
  for (NAME.lastIndex = 0; end < text.length; end = NAME.lastIndex) {
    NAME.lastIndex = end
    const match = NAME.exec(text)
    if (match === null) return []
    const [, written = '', quoted, plain = ''] = match
    const type = types.get(written)
    const value = quoted === undefined ? plain : unquoted(quoted)
    if (value === undefined) return []
    if (type !== undefined) names.push({ type, value: type === 'IP' ? shortest(value) : value })
  }
  return names
}

/** RFC 5952: an IPv6 address as configs have it. OpenSSL writes all of its groups. */
function shortest(address: string): string {
  return isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address
}

function unquoted(text: string): string | undefined {
  try {
    return JSON.parse(text) as string
  } catch {
    return undefined
  }
}
