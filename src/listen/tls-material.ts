/** What is in the files of a listener's TLS: read as a whole, or anew where something of it has changed. */

import type { CertificateConfig, ListenerTlsConfig } from '../config/config.ts'
import { messageOf } from '../auth/error-message.ts'
import { certificatesIn, revocationListsIn } from '../config/pem.ts'
import { readRegularFile } from '../config/read-file.ts'
import { isSameCertificate, loadCertificate, type LoadedCertificate } from './tls-certificate.ts'

export interface TlsMaterial {
  /** In the order of the config; the first is the default. */
  readonly certificates: readonly LoadedCertificate[]
  /** How clients' certificates are verified; undefined where nobody is asked for one. */
  readonly clients: ClientAuthorities | undefined
}

interface ClientAuthorities {
  /** PEM, one or more. */
  readonly ca: Buffer
  /** PEM, one or more lists; undefined where none is asked for. */
  readonly crl: Buffer | undefined
}

/** A file whose new content cannot be used. */
export interface NotRenewed {
  readonly file: string
  readonly cause: string
}

export interface Renewal {
  readonly material: TlsMaterial
  /** Those that have another content now. */
  readonly renewed: readonly LoadedCertificate[]
  /** Files that tell of clients' certificates, and have another content now. */
  readonly renewedFiles: readonly string[]
  /** What stays as it was, though it should not. */
  readonly failed: readonly NotRenewed[]
}

/** Throws an Error that names the file that cannot be read, or holds nothing of use. */
export function readMaterial(tls: ListenerTlsConfig): TlsMaterial {
  const certificates = certificatesOf(tls).map((files) => loadCertificate(files, tls))
  const { clientCa, crl } = tls
  if (clientCa === undefined) return { certificates, clients: undefined }
  return {
    certificates,
    clients: {
      ca: readAuthorities(clientCa),
      crl: crl === undefined ? undefined : readRevoked(crl),
    },
  }
}

/** What is wrong now stays as it is in `old`, which was read by the same config. */
export function renewMaterial(old: TlsMaterial, tls: ListenerTlsConfig): Renewal {
  const renewed: LoadedCertificate[] = []
  const failed: NotRenewed[] = []
  const certificates = old.certificates.map((known) => {
    try {
      const loaded = loadCertificate(known.files, tls)
      if (isSameCertificate(loaded, known)) return known
      renewed.push(loaded)
      return loaded
    } catch (error) {
      failed.push({ file: known.files.cert, cause: messageOf(error) })
      return known
    }
  })
  const { clients, renewedFiles } = renewClients(old.clients, tls, failed)
  return { material: { certificates, clients }, renewed, renewedFiles, failed }
}

function renewClients(
  old: ClientAuthorities | undefined,
  { clientCa, crl }: ListenerTlsConfig,
  failed: NotRenewed[],
): { readonly clients: ClientAuthorities | undefined; readonly renewedFiles: readonly string[] } {
  if (old === undefined || clientCa === undefined) return { clients: old, renewedFiles: [] }
  const renewedFiles: string[] = []
  const renewed = (file: string, known: Buffer, read: (file: string) => Buffer): Buffer => {
    try {
      const content = read(file)
      if (content.equals(known)) return known
      renewedFiles.push(file)
      return content
    } catch (error) {
      failed.push({ file, cause: messageOf(error) })
      return known
    }
  }
  const ca = renewed(clientCa, old.ca, readAuthorities)
  const lists =
    crl === undefined || old.crl === undefined ? undefined : renewed(crl, old.crl, readRevoked)
  return { clients: { ca, crl: lists }, renewedFiles }
}

function readAuthorities(file: string): Buffer {
  return readChecked(file, certificatesIn)
}

function readRevoked(file: string): Buffer {
  return readChecked(file, revocationListsIn)
}

function readChecked(file: string, check: (text: string) => unknown): Buffer {
  const content = readRegularFile(file)
  try {
    check(content.toString('latin1'))
  } catch (error) {
    throw new Error(`${file} ${messageOf(error)}`, { cause: error })
  }
  return content
}

/** Absolute paths. */
export function filesOf(tls: ListenerTlsConfig): readonly string[] {
  const { clientCa, crl } = tls
  const pairs = certificatesOf(tls).flatMap(({ cert, key }) => [cert, key])
  return [...pairs, ...[clientCa, crl].filter((file) => file !== undefined)]
}

function certificatesOf({ cert, key, certificates }: ListenerTlsConfig): CertificateConfig[] {
  const first = cert === undefined || key === undefined ? [] : [{ cert, key, names: undefined }]
  return [...first, ...certificates]
}
