/**
 * Gives memory back when a rush of tunnels is over. What handshakes leave behind is collected when V8 has need of room, and
 * a gateway that then only holds tunnels has none: it would keep the garbage of the rush, some kilobytes for each tunnel, for
 * as long as they stay. So a quiet process that holds many more tunnels than at the last time is collected once. The bytes
 * of native tunnels do not notice; everything else waits for as long as that takes, some 50 ms for a heap of 20 MiB. It
 * is not done without tunnels to hold, since the next rush runs slower after it: V8 throws away code that it has compiled.
 */

import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const PERIOD_MS = 2000
/** The share of a period in which the event loop was busy, up to which the process counts as quiet. */
const QUIET_MAX = 0.05
/** How many more tunnels are held than at the last time: so many, and this part of what there were. */
const TUNNELS_MORE = 1000
const PART_MORE = 0.25

/** What the keeper needs of the process. */
export interface Heap {
  /** The share of the time since the last call in which the event loop was busy. */
  busyShare(): number
  collect(): void
}

/** Looks every two seconds, from now on. The timer keeps no process alive. */
export function keepHeapSmall(
  openTunnels: () => number,
  heap: Heap = processHeap(),
): NodeJS.Timeout {
  let known = 0
  return setInterval(() => {
    const open = openTunnels()
    const isQuiet = heap.busyShare() <= QUIET_MAX
    known = Math.min(known, open)
    if (!isQuiet || open - known < Math.max(TUNNELS_MORE, known * PART_MORE)) return
    heap.collect()
    known = open
  }, PERIOD_MS).unref()
}

type Collector = (options: {
  readonly type: 'major'
  readonly execution: 'sync'
  readonly flavor: 'last-resort'
}) => void

function processHeap(): Heap {
  // V8 gives its collector to scripts that are made while this flag is on; nobody else gets it.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collector
  setFlagsFromString('--no-expose-gc')
  let before = performance.eventLoopUtilization()
  return {
    busyShare: () => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, before)
      before = now
      return utilization
    },
    // A plain collection keeps its pages: only this one returns them to the system.
    collect: () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  }
}
