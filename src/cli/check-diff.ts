/** `upgate check --diff`: what the running gateway would make of its config file, and whether that is the one checked here. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { AdminClient } from './admin-client.ts'
import { findAdmin } from './admin-target.ts'
import type { Values } from './arguments.ts'
import { Failure, type FailureCode } from './failure.ts'
import { askReload, reloadText } from './reload.ts'
import type { Terminal } from './terminal.ts'

/** `file` was found to be right. Returns the exit code. */
export async function checkDiff(
  file: string,
  values: Values,
  terminal: Terminal,
): Promise<0 | FailureCode> {
  try {
    const admin = new AdminClient(findAdmin({ ...values, config: file }, terminal.env))
    const answer = await askReload(admin, true)
    const isSame = answer.sha256 === createHash('sha256').update(readFileSync(file)).digest('hex')
    terminal.print(
      isSame
        ? `the gateway at ${admin.url} has the same file\n`
        : `the gateway at ${admin.url} has another file than this one: ${answer.file} there differs in its content\n`,
    )
    terminal.print(reloadText(answer))
    return 0
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    terminal.tell(`upgate: ${error.message}`)
    return error.exitCode
  }
}
