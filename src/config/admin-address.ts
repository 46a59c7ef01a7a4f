/**
 * The admin address of the environment, for a file that has none: within a container only an address of the container's own
 * network is one that probes and Prometheus reach, whatever file is mounted.
 */

import type { Environment } from './environment.ts'

export const ADMIN_ADDRESS_VARIABLE = 'UPGATE_ADMIN_ADDRESS'

/** The content of a file with the address of the environment, if that has one and the file has none and does not say `off`. */
export function withAdminAddress(raw: unknown, env: Environment): unknown {
  const address = env[ADMIN_ADDRESS_VARIABLE]
  if (address === undefined || address === '' || !isMap(raw)) return raw
  const { admin } = raw
  if (admin === undefined || admin === null) return { ...raw, admin: { address } }
  return isMap(admin) && admin['address'] === undefined
    ? { ...raw, admin: { ...admin, address } }
    : raw
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
