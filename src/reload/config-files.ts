/** The files whose change asks for a reload: the config's own, and the certificates that clients are shown. */

import type { Config } from '../config/config.ts'

/**
 * Absolute paths, each once. Files of users and keys are watched by the checks that use them, those of an upstream's `tls`
 * by nobody: a reload reads them.
 */
export function filesOf({ file, listeners, admin }: Config): readonly string[] {
  const certificates = [...listeners, ...(admin === undefined ? [] : [admin])].flatMap(({ tls }) =>
    tls === undefined ? [] : [tls.cert, tls.key],
  )
  return [...new Set([file, ...certificates])]
}
