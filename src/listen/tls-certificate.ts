/** A certificate of a listener with its key, read from its files and checked. */

import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { messageOf } from '../auth/error-message.ts'
import type { CertificateConfig, ListenerTlsConfig } from '../config/config.ts'
import { certificatesIn, whyNotUsable } from '../config/pem.ts'
import { readRegularFile } from '../config/read-file.ts'
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
  readonly startsAtMs: number
  readonly expiresAtMs: number
  /** `rsa`, `ec`, ...: of one name there can be one of each. */
  readonly keyType: string
  /** The URIs among its names. */
  readonly uris: readonly string[]
}

/** Throws an Error that says which file is wrong, and never what is in it. `ciphers` say which keys are strong enough. */
export function loadCertificate(
  files: CertificateConfig,
  { ciphers }: Pick<ListenerTlsConfig, 'ciphers'>,
): LoadedCertificate {
  const cert = readRegularFile(files.cert)
  const key = readRegularFile(files.key)
  const leaf = readLeaf(files.cert, cert)
  const privateKey = readKey(files.key, key)
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Error(`the key in ${files.key} does not belong to the certificate in ${files.cert}`)
  }
  const failure = whyNotUsable({ cert, key, ...(ciphers === undefined ? {} : { ciphers }) })
  if (failure !== undefined) throw new Error(`${files.cert} cannot be used: ${failure}`)
  const alternatives = altNamesOf(leaf)
  const own = alternatives.filter(({ type }) => type === 'DNS').map(({ value }) => value)
  const title = own[0] ?? commonName(leaf) ?? alternatives[0]?.value ?? files.cert
  return {
    files,
    cert,
    key,
    names: files.names ?? (own.length > 0 ? own : [title]).map((name) => name.toLowerCase()),
    title,
    startsAtMs: leaf.validFromDate.getTime(),
    expiresAtMs: leaf.validToDate.getTime(),
    keyType: privateKey.asymmetricKeyType ?? '',
    uris: alternatives.filter(({ type }) => type === 'URI').map(({ value }) => value),
  }
}

export function isSameCertificate(one: LoadedCertificate, other: LoadedCertificate): boolean {
  return one.cert.equals(other.cert) && one.key.equals(other.key)
}

function readLeaf(file: string, content: Buffer): X509Certificate {
  try {
    return certificatesIn(content.toString('latin1'))[0]
  } catch (error) {
    throw new Error(`${file} ${messageOf(error)}`, { cause: error })
  }
}

function readKey(file: string, content: Buffer): KeyObject {
  try {
    return createPrivateKey(content)
  } catch (error) {
    throw new Error(`${file} holds no private key in PEM format`, { cause: error })
  }
}

function commonName({ subject }: X509Certificate): string | undefined {
  return /^CN=(.+)$/m.exec(subject)?.[1]
}
