/** Builds the checks of a configuration: reads their files and prepares their connections. */

import type { AuthConfig } from '../config/config.ts'
import { sameConfig } from '../config/same.ts'
import { createApiKeyCheck } from './api-key.ts'
import type { ServerAgents } from './ask.ts'
import { createBasicCheck } from './basic.ts'
import { createClientCertCheck } from './client-cert.ts'
import { messageOf } from './error-message.ts'
import { createForwardCheck } from './forward.ts'
import type { AuthLog, Check } from './identity.ts'
import { createJwtCheck } from './jwt.ts'

/** By name. */
export interface Checks extends ReadonlyMap<string, Check> {
  /** The check that was built from the same configuration. */
  builtFrom(config: AuthConfig): Check | undefined
  /** Closes each check that `next` has not taken over; all of them without `next`. */
  retire(next?: ReadonlyMap<string, Check>): void
}

export interface ChecksOptions {
  readonly log: AuthLog
  /** How authorization servers and key sets are reached. */
  readonly agents: ServerAgents
}

/**
 * Checks of `previous` whose configuration is the same are taken over, with what they remember, and are in both until one
 * of them is retired: `previous` when these take its place, these when they do not come to it after all. Rejects with one
 * Error that has a line for each file that cannot be read or is wrong; `previous` is as before then, and nothing else is
 * left open.
 */
export async function createChecks(
  auth: ReadonlyMap<string, AuthConfig>,
  options: ChecksOptions,
  previous?: Checks,
): Promise<Checks> {
  const configs = [...auth.values()]
  const settled = await Promise.allSettled(
    configs.map(async (config) => previous?.builtFrom(config) ?? create(config, options)),
  )
  const checks = new BuiltChecks(auth)
  for (const result of settled) {
    if (result.status === 'fulfilled') checks.set(result.value.name, result.value)
  }
  const reasons = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (reasons.length === 0) return checks
  checks.retire(previous)
  throw new Error(reasons.map(messageOf).join('\n'), { cause: reasons[0] })
}

class BuiltChecks extends Map<string, Check> implements Checks {
  readonly #configs: ReadonlyMap<string, AuthConfig>

  constructor(configs: ReadonlyMap<string, AuthConfig>) {
    super()
    this.#configs = configs
  }

  builtFrom(config: AuthConfig): Check | undefined {
    const own = this.#configs.get(config.name)
    return own !== undefined && sameConfig(own, config) ? this.get(config.name) : undefined
  }

  retire(next?: ReadonlyMap<string, Check>): void {
    for (const [name, check] of this) if (next?.get(name) !== check) check.close()
  }
}

async function create(config: AuthConfig, { log, agents }: ChecksOptions): Promise<Check> {
  if (config.type === 'basic') return createBasicCheck(config, log)
  if (config.type === 'apiKey') return createApiKeyCheck(config, log)
  if (config.type === 'jwt') return createJwtCheck(config, { log, agents })
  if (config.type === 'clientCert') return createClientCertCheck(config)
  return createForwardCheck(config, agents)
}
