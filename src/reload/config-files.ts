/** The files whose change asks for a reload: the config's own, and what the admin's clients are shown. */

import type { Config } from '../config/config.ts'

/**
 * Absolute paths, each once. Files of users and keys are watched by the checks that use them, certificates of listeners by
 * `CertificateWatch`, files of an upstream's `tls` by nobody: a reload reads them.
 */
export function filesOf({ file, admin }: Config): readonly string[] {
  return admin?.tls === undefined ? [file] : [...new Set([file, admin.tls.cert, admin.tls.key])]
}
