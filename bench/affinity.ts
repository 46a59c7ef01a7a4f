/**
 * Ties processes to cores for the works that measure latency: on a machine with few cores it depends on the scheduler's
 * choice of the moment whether two processes share one, and the latencies then have two middles instead of one.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { processTree } from './accounting.ts'
import { coresOf } from './cores.ts'

const command = '/usr/bin/taskset'
const allowed = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]

const [gatewayCore, otherCore] = coresOf(allowed ?? '')

/** Why processes cannot be tied to cores here; `undefined` if they can. */
export function pinningObstacle(): string | undefined {
  if (otherCore === undefined) return 'needs two cores'
  return existsSync(command) ? undefined : `needs ${command}`
}

/** The gateway with all its processes and threads alone on one core, the others together on another one. */
export function pin(gatewayPid: number, otherPids: readonly number[]): void {
  for (const pid of processTree(gatewayPid)) place(pid, String(gatewayCore))
  for (const pid of otherPids) place(pid, String(otherCore))
}

/** Lets them run where the runner may. */
export function unpin(pids: readonly number[]): void {
  for (const pid of pids.flatMap((root) => processTree(root))) place(pid, allowed ?? '')
}

function place(pid: number, cores: string): void {
  execFileSync(command, ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}
