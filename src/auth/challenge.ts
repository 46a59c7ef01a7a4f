/** WWW-Authenticate fields (RFC 9110 11.6.1): what a client is told about the credentials that would do. */

import type { Fields } from '../errors.ts'

/** RFC 7617 2. */
export function basicChallenge(realm: string): Fields {
  return challenge(`Basic realm=${quoted(realm)}, charset="UTF-8"`)
}

/** RFC 6750 3. Without an error when the request carried no token. */
export function bearerChallenge(
  realm: string,
  error?: 'invalid_token' | 'insufficient_scope',
): Fields {
  const suffix = error === undefined ? '' : `, error="${error}"`
  return challenge(`Bearer realm=${quoted(realm)}${suffix}`)
}

/** There is no registered scheme for keys in a field of their own; a 401 needs a challenge all the same. */
export function apiKeyChallenge(header: string): Fields {
  return challenge(`ApiKey header=${quoted(header)}`)
}

/** Nor is there one for certificates of TLS. */
export function clientCertChallenge(): Fields {
  return challenge('ClientCertificate')
}

function challenge(value: string): Fields {
  return Object.freeze(['WWW-Authenticate', value])
}

/** RFC 9110 5.6.4. Characters outside of ASCII have no agreed encoding there. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`
}
