/** What is in files of PEM, all of it: OpenSSL reads some of them only as far as it understands them, and says nothing. */

import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'

/** OpenSSL knows a block at the begin of a line alone, or behind a byte order mark: as text, or as bytes that were read as latin1. */
const AT_LINE = String.raw`(?<![^\n\u{FEFF}\u{BF}])`

/** The blocks of one kind, each for itself. One that is cut off is among them, and can be read by nobody. */
export function pemsIn(text: string, what: 'CERTIFICATE' | 'X509 CRL'): readonly string[] {
  const block = `${AT_LINE}-----BEGIN ${what}-----[^-]*(?:-----END ${what}-----)?`
  return text.match(new RegExp(block, 'gu')) ?? []
}

/** Throws an Error whose message goes on where the file's name ends. */
export function certificatesIn(text: string): readonly [X509Certificate, ...X509Certificate[]] {
  const certificates = pemsIn(text, 'CERTIFICATE').map((pem, index, { length }) => {
    try {
      return new X509Certificate(pem)
    } catch (error) {
      const which = length === 1 ? '' : `, number ${index + 1} of ${length}`
      throw new Error(`holds a broken certificate${which}`, { cause: error })
    }
  })
  const [first, ...others] = certificates
  if (first === undefined) throw new Error('holds no certificate in PEM format')
  return [first, ...others]
}

/** The same for lists of revoked certificates. */
export function revocationListsIn(text: string): readonly string[] {
  const lists = pemsIn(text, 'X509 CRL')
  if (lists.length === 0) throw new Error('holds no list of revoked certificates in PEM format')
  for (const [index, crl] of lists.entries()) {
    try {
      createSecureContext({ crl })
    } catch (error) {
      const which = lists.length === 1 ? '' : `, number ${index + 1} of ${lists.length}`
      throw new Error(`holds a broken list of revoked certificates${which}`, { cause: error })
    }
  }
  return lists
}

/**
 * Why OpenSSL does not take a certificate with the key that belongs to it, such as `ee key too small`; undefined where it does.
 * Its level of security is set in `ciphers`, which have to be right.
 */
export function whyNotUsable(
  options: Pick<SecureContextOptions, 'cert' | 'key' | 'ciphers'>,
): string | undefined {
  try {
    createSecureContext(options)
    return undefined
  } catch (error) {
    const { reason, message } = error as Error & { readonly reason?: string }
    return reason ?? message
  }
}
