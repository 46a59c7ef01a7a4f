/**
 * CPU time and memory of a process and all its descendants, read from /proc. CPU time is the scheduler's nanoseconds
 * (user and system) of each thread; memory is the proportional set size, which counts a shared page once, without that of
 * mapped files: how much of a program's text counts as a process's own depends on who else runs the same program.
 */
import { readFileSync, readdirSync } from 'node:fs'

/** Nanoseconds that each living thread has run, by thread id. */
export type CpuSnapshot = ReadonlyMap<number, number>

/** The ids of `root` and of all its descendants. */
export function processTree(root: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = readIfThere(`/proc/${name}/stat`)
    // The command's name is in parentheses and may hold anything; the parent is the second field after it.
    const parent = Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

export function cpuSnapshot(root: number): CpuSnapshot {
  const snapshot = new Map<number, number>()
  for (const pid of processTree(root)) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const schedstat = readIfThere(`/proc/${pid}/task/${thread}/schedstat`)
      if (schedstat !== undefined) snapshot.set(Number(thread), Number(schedstat.split(' ')[0]))
    }
  }
  return snapshot
}

/** Nanoseconds between two snapshots. What a thread ran that ended in between is not in it. */
export function cpuBetween(before: CpuSnapshot, after: CpuSnapshot): number {
  let total = 0
  for (const [thread, ns] of after) total += ns - (before.get(thread) ?? 0)
  return total
}

/** Bytes of memory that the tree takes. */
export function memoryOf(root: number): number {
  let total = 0
  for (const pid of processTree(root)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    total += 1024 * (kibibytes(rollup, 'Pss_Anon') + kibibytes(rollup, 'Pss_Shmem'))
  }
  return total
}

/** Nanoseconds that all cores together have been busy since the start, whoever it was for, to a hundredth of a second. */
export function machineBusyNs(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
    '/proc/stat',
    'utf8',
  )
    .slice(0, 200)
    .split(/\s+/, 9)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * 10_000_000
}

function kibibytes(rollup: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? Number.NaN)
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
