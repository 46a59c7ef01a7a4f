/** Public keys that signatures of tokens can be checked with. */

import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** RFC 7518 3.3 and 3.5; jose takes no shorter ones. */
const RSA_BITS_MIN = 2048

const TYPES: ReadonlySet<string | undefined> = new Set(['rsa', 'ec', 'ed25519'])

const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

/** Why no signature can be checked with a key, in words that follow `this is `; undefined where one can. */
export function whyUnfit(key: KeyObject): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: { modulusLength = 0, namedCurve } = {} } =
    key
  if (type === 'rsa' && modulusLength < RSA_BITS_MIN) {
    return `an RSA key of ${modulusLength} bits; expected ${RSA_BITS_MIN} or more`
  }
  if (type === 'ec' && !CURVES.has(namedCurve)) return `a key of the curve ${namedCurve}`
  return TYPES.has(type) ? undefined : `a key of the type ${type}`
}

/** Whether a member of a key set is such a key. It may be anything that JSON can be. */
export function isFitKey(jwk: unknown): jwk is JsonWebKey {
  if (typeof jwk !== 'object' || jwk === null || 'd' in jwk) return false
  try {
    return whyUnfit(createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })) === undefined
  } catch {
    return false
  }
}
