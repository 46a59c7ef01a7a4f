/** A certificate of a listener with its key, read from its files and checked. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { CertificateConfig } from '../config/config.ts'
import { altNamesOf } from '../request/alt-names.ts'

export interface LoadedCertificate {
  readonly files: CertificateConfig
  /** PEM, with the certificates of its issuers. */
  readonly cert: Buffer
  readonly key: Buffer
  /** The names that clients get it for, in lower case, some as `*.example.com`. */
  readonly names: readonly string[]
  /** What people call it: the first name that it has. */
  readonly title: string
  readonly expiresAtMs: number
  /** `rsa`, `ec`, ...: of one name there can be one of each. */
  readonly keyType: string
  /** The URIs among its names. */
  readonly uris: readonly string[]
}

/** Throws an Error that says which file is wrong, and never what is in it. */
export function loadCertificate(files: CertificateConfig): LoadedCertificate {
  const cert = readFileSync(files.cert)
  const key = readFileSync(files.key)
  const leaf = read(files.cert, 'certificate', () => new X509Certificate(cert))
  const privateKey = read(files.key, 'private key', () => createPrivateKey(key))
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Error(`the key in ${files.key} does not belong to the certificate in ${files.cert}`)
  }
  const alternatives = altNamesOf(leaf)
  const own = alternatives.filter(({ type }) => type === 'DNS').map(({ value }) => value)
  const title = own[0] ?? commonName(leaf) ?? alternatives[0]?.value ?? files.cert
  return {
    files,
    cert,
    key,
    names: files.names ?? (own.length > 0 ? own : [title]).map((name) => name.toLowerCase()),
    title,
    expiresAtMs: leaf.validToDate.getTime(),
    keyType: privateKey.asymmetricKeyType ?? '',
    uris: alternatives.filter(({ type }) => type === 'URI').map(({ value }) => value),
  }
}

export function isSameCertificate(one: LoadedCertificate, other: LoadedCertificate): boolean {
  return one.cert.equals(other.cert) && one.key.equals(other.key)
}

function read<Value>(file: string, what: string, parse: () => Value): Value {
  try {
    return parse()
  } catch (error) {
    throw new Error(`${file} holds no ${what} in PEM format`, { cause: error })
  }
}

function commonName({ subject }: X509Certificate): string | undefined {
  return /^CN=(.+)$/m.exec(subject)?.[1]
}
