/** Commands that ask the admin API of a running gateway. */

import { AdminClient } from './admin-client.ts'
import { findAdmin } from './admin-target.ts'
import type { CallCommand, CallName } from './arguments.ts'
import { close } from './close.ts'
import { drain, enable } from './drain.ts'
import { Failure, type FailureCode } from './failure.ts'
import { rebalance } from './rebalance.ts'
import { reload } from './reload.ts'
import type { Terminal } from './terminal.ts'
import { tunnels } from './tunnels.ts'
import { upstreams } from './upstreams.ts'

type Run = (admin: AdminClient, command: CallCommand, terminal: Terminal) => Promise<void>

const runs: Readonly<Record<CallName, Run>> = {
  tunnels,
  upstreams,
  close,
  drain,
  enable,
  rebalance,
  reload,
}

/** Returns the exit code. */
export async function call(command: CallCommand, terminal: Terminal): Promise<0 | FailureCode> {
  try {
    const admin = new AdminClient(findAdmin(command.values, terminal.env))
    await runs[command.command](admin, command, terminal)
    return 0
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    terminal.tell(`upgate: ${error.message}`)
    return error.exitCode
  }
}
