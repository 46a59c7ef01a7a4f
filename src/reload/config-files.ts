/** The files that a reload reads: the config's own, and those that it names and nobody else watches. */

import type { Config } from '../config/config.ts'

/** Absolute paths, each once. Files of users and keys are watched by the checks that use them. */
export function filesOf({ file, listeners, admin, upstreams }: Config): readonly string[] {
  const certificates = [...listeners, ...(admin === undefined ? [] : [admin])].flatMap(({ tls }) =>
    tls === undefined ? [] : [tls.cert, tls.key],
  )
  const authorities = [...upstreams.values()].flatMap(({ tls }) => tls.ca ?? [])
  return [...new Set([file, ...certificates, ...authorities])]
}
