/** The files whose change asks for a reload: the config's own, what the admin's clients are shown, and those of TLS to endpoints. */

import type { Config } from '../config/config.ts'

/**
 * Absolute paths, each once. Files of users and keys are watched by the checks that use them, certificates of listeners by
 * `CertificateWatch`.
 */
export function filesOf({ file, admin, upstreams }: Config): readonly string[] {
  const named = [admin?.tls?.cert, admin?.tls?.key]
  for (const { tls } of upstreams.values()) named.push(tls.ca, tls.cert, tls.key)
  return [...new Set([file, ...named.filter((name) => name !== undefined)])]
}
