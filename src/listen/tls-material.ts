/** What is in the files of a listener's TLS: read as a whole, or anew where something of it has changed. */

import type { CertificateConfig, ListenerTlsConfig } from '../config/config.ts'
import { messageOf } from '../auth/error-message.ts'
import { isSameCertificate, loadCertificate, type LoadedCertificate } from './tls-certificate.ts'

export interface TlsMaterial {
  /** In the order of the config; the first is the default. */
  readonly certificates: readonly LoadedCertificate[]
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
  /** Those that stay as they were, though they should not. */
  readonly failed: readonly NotRenewed[]
}

/** Throws an Error that names the file that cannot be read, or holds nothing of use. */
export function readMaterial(tls: ListenerTlsConfig): TlsMaterial {
  return { certificates: certificatesOf(tls).map(loadCertificate) }
}

/** What is wrong now stays as it is in `old`, which was read by the same config. */
export function renewMaterial(old: TlsMaterial): Renewal {
  const renewed: LoadedCertificate[] = []
  const failed: NotRenewed[] = []
  const certificates = old.certificates.map((known) => {
    try {
      const loaded = loadCertificate(known.files)
      if (isSameCertificate(loaded, known)) return known
      renewed.push(loaded)
      return loaded
    } catch (error) {
      failed.push({ file: known.files.cert, cause: messageOf(error) })
      return known
    }
  })
  return { material: { certificates }, renewed, failed }
}

/** Absolute paths. */
export function filesOf(tls: ListenerTlsConfig): readonly string[] {
  return certificatesOf(tls).flatMap(({ cert, key }) => [cert, key])
}

function certificatesOf({ cert, key, certificates }: ListenerTlsConfig): CertificateConfig[] {
  const first = cert === undefined || key === undefined ? [] : [{ cert, key, names: undefined }]
  return [...first, ...certificates]
}
