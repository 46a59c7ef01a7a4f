/** What is known of the certificate that a TLS client has shown, in the forms in which checks and upstreams want it. */

import type { X509Certificate } from 'node:crypto'
import { altNamesOf, type AltName } from './alt-names.ts'

/** Verified, or why it was not: nothing else of it is of any use then. */
export type ClientCertificate = VerifiedCertificate | { readonly failure: string }

export interface VerifiedCertificate {
  /** As in RFC 4514: the most specific part first, `CN=alice,O=Example`. */
  readonly subject: string
  readonly commonName: string | undefined
  readonly altNames: readonly AltName[]
  readonly expiresAtMs: number
  /** An element of X-Forwarded-Client-Cert, as Envoy makes it. */
  readonly forwarded: string
}

/** `by` are the URIs in the certificate of the gateway that the client has seen. */
export function verifiedCertificate(
  certificate: X509Certificate,
  by: readonly string[],
): VerifiedCertificate {
  const altNames = altNamesOf(certificate)
  const parts = namePartsOf(certificate)
  const subject = parts.join(',')
  const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  const named = (type: AltName['type']): string[] =>
    altNames.filter((name) => name.type === type).map(({ value }) => `${type}=${plain(value)}`)
  return {
    subject,
    commonName: commonNameIn(parts),
    altNames,
    expiresAtMs: certificate.validToDate.getTime(),
    forwarded: [
      ...by.map((uri) => `By=${plain(uri)}`),
      `Hash=${hash}`,
      `Subject="${ascii(subject)}"`,
      ...named('URI'),
      ...named('DNS'),
    ].join(';'),
  }
}

/** Node writes the parts in the certificate's order, a line each, and escapes what is in them (RFC 2253 2.4). */
function namePartsOf({ subject }: X509Certificate): string[] {
  if (subject === undefined || subject === '') return []
  return subject
    .split('\n')
    .toReversed()
    .map((part) => part.replaceAll(' + ', '+'))
}

function commonNameIn(parts: readonly string[]): string | undefined {
  for (const part of parts) {
    const [, written] = /^(?:.*[^\\]\+)?CN=((?:[^\\+]|\\.)*)/.exec(part) ?? []
    if (written !== undefined) return unescaped(written)
  }
  return undefined
}

function unescaped(written: string): string {
  const bytes = written.replace(/(?:\\[0-9A-Fa-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('\\', ''), 'hex').toString('utf8'),
  )
  return bytes.replace(/\\(.)/g, '$1')
}

/** RFC 4514 2.4: a byte of UTF-8 may be written as two digits. A field's value is ASCII alone (RFC 9110 5.5). */
function ascii(subject: string): string {
  return subject.toWellFormed().replace(/[^ -~]+/gu, (run) =>
    Buffer.from(run, 'utf8')
      .toString('hex')
      .toUpperCase()
      .replace(/../g, String.raw`\$&`),
  )
}

/** A value that could be mistaken for the end of it stands in quotes, as Envoy reads them. */
function plain(value: string): string {
  const safe = value.toWellFormed().replace(/[^ -~]/gu, encodeURIComponent)
  return /[ ",;=\\]/.test(safe) ? `"${safe.replace(/["\\]/g, String.raw`\$&`)}"` : safe
}
