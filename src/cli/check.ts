/** What `check` says of a configuration whose own text is right. */

import type { Config } from '../config/config.ts'
import { formatAddress } from '../config/network.ts'

/** One line with what was read, so that a wrong file is noticed as well. */
export function summary(file: string, config: Config): string {
  const listeners = config.listeners.map((listener) => formatAddress(listener.address))
  const admin = config.admin === undefined ? 'off' : `on ${formatAddress(config.admin.address)}`
  const counts = [
    counted(config.routes.length, 'route'),
    counted(config.upstreams.size, 'upstream'),
    counted(config.auth.size, 'auth check'),
  ]
  return `${file} is right: ${counts.join(', ')}; listens on ${listeners.join(', ')}; admin ${admin}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** What is wrong with the content of the files that the checks of credentials read, a line each; or undefined. */
export async function authFileProblems(config: Config): Promise<string | undefined> {
  if (config.auth.size === 0) return undefined
  const { createChecks } = await import('../auth/checks.ts')
  const { serverAgent } = await import('../http/server-agent.ts')
  try {
    const checks = await createChecks(config.auth, { log: silentLog, agents: serverAgent })
    for (const check of checks.values()) check.close()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Only problems matter here, and those come as an Error. */
const silentLog = { info() {}, warn() {}, error() {} }
