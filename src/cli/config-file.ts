/** Which config file to use when the command line names none. */

import { existsSync } from 'node:fs'

import type { Environment } from '../config/environment.ts'

const usualFiles = ['./upgate.yaml', '/etc/upgate/upgate.yaml']

/** The file of the command line, else of UPGATE_CONFIG, else the first of the usual ones; undefined if there is none. */
export function chooseConfigFile(
  given: string | undefined,
  env: Environment,
  usual: readonly string[] = usualFiles,
): string | undefined {
  if (given !== undefined) return given
  const fromEnv = env['UPGATE_CONFIG']
  if (fromEnv !== undefined && fromEnv !== '') return fromEnv
  return usual.find((file) => existsSync(file))
}

export const noConfigFile = `there is no config file: neither ${usualFiles.join(' nor ')} exists.
Give one with -c FILE or UPGATE_CONFIG=FILE. The smallest useful one:

  routes: [{ upstream: "http://localhost:3000" }]`
