/** Asks an installed program for its version. */
import { spawnSync } from 'node:child_process'

/** The first thing like a version in what the program says, on either stream; `undefined` where it cannot be run. */
export function versionOf(command: string, args: readonly string[]): string | undefined {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined || status !== 0) return undefined
  return /\d+\.\d+(?:\.\d+)?/.exec(`${stdout}${stderr}`)?.[0]
}
