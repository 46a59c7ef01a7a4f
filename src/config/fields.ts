/** Values of the configuration that become parts of HTTP messages: field names and values, methods, upgrade tokens. */

import { fail, word } from './scalars.ts'

/** RFC 9110 5.6.2. */
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/**
 * Fields that carry a message's framing or the handshake: the gateway makes them, and an edit would break either.
 * RFC 9110 7.6.1 names the hop-by-hop fields.
 */
const ownedFields: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export function isOwnedField(name: string): boolean {
  const lowerName = name.toLowerCase()
  return ownedFields.has(lowerName) || lowerName.startsWith('sec-websocket-')
}

function token(what: string) {
  return word(tokenPattern, `expected ${what}`)
}

export function fieldName() {
  return token('the name of a header field, such as X-Api-Key').meta({ title: 'field name' })
}

/** A field's value as it may stand on the wire (RFC 9110 5.5): no line breaks or other control characters. */
export function fieldValue() {
  return word(
    /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/,
    'expected text for a header field, without line breaks and control characters (put numbers and true in quotes)',
  ).meta({ title: 'text' })
}

/** A request's method. Methods are case-sensitive (RFC 9110 9.1). */
export function method() {
  return token('a method such as GET or POST')
    .transform((value, context) => {
      const upper = value.toUpperCase()
      if (upper === 'CONNECT' || upper === 'TRACE') {
        return fail(context, `${upper} is never served`)
      }
      const known = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']
      return value !== upper && known.includes(upper)
        ? fail(context, `methods are in upper case: write ${upper}`)
        : value
    })
    .meta({ title: 'method' })
}

/** A token of the Upgrade field (RFC 9110 7.8): a protocol, with a version if it has one. In lower case afterwards. */
export function upgradeToken() {
  return word(
    /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?$/,
    'expected a token of the Upgrade field, such as websocket, tcp or SPDY/3.1',
  )
    .transform((value) => value.toLowerCase())
    .meta({ title: 'token' })
}

/** Text for the realm of a challenge: it goes between quotes as it is. */
export function realm() {
  return word(
    /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}$/,
    'expected up to 100 printable ASCII characters other than " and \\',
  ).meta({ title: 'text' })
}
