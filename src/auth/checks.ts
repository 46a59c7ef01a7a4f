/** Builds the checks of a configuration: reads their files and prepares their connections. */

import type { AuthConfig } from '../config/config.ts'
import { createApiKeyCheck } from './api-key.ts'
import { createBasicCheck } from './basic.ts'
import { messageOf } from './error-message.ts'
import { createForwardCheck } from './forward.ts'
import type { AuthLog, Check } from './identity.ts'
import { createJwtCheck } from './jwt.ts'

/**
 * By name. Rejects with one Error that has a line for each file that cannot be read or is wrong; nothing is left open
 * then. Whoever takes the checks must `close` each.
 */
export async function createChecks(
  auth: ReadonlyMap<string, AuthConfig>,
  log: AuthLog,
): Promise<ReadonlyMap<string, Check>> {
  const settled = await Promise.allSettled([...auth.values()].map((config) => create(config, log)))
  const checks = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const reasons = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (reasons.length === 0) return new Map(checks.map((check) => [check.name, check]))
  for (const check of checks) check.close()
  throw new Error(reasons.map(messageOf).join('\n'), { cause: reasons[0] })
}

async function create(config: AuthConfig, log: AuthLog): Promise<Check> {
  if (config.type === 'basic') return createBasicCheck(config, log)
  if (config.type === 'apiKey') return createApiKeyCheck(config, log)
  if (config.type === 'jwt') return createJwtCheck(config, log)
  return createForwardCheck(config)
}
