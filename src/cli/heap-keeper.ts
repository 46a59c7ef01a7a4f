/**
 * Gives memory back when a rush is over. What handshakes leave behind is collected when V8 has need of room, and a gateway
 * that then only holds tunnels has none: it would keep the garbage of the last rush, some kilobytes for each tunnel, for as
 * long as it is quiet. So a quiet process whose heap has grown is collected once. The bytes of native tunnels do not
 * notice; everything else waits for as long as that takes, some 50 ms for a heap of 20 MiB.
 */

import { performance } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const PERIOD_MS = 2000
/** The share of a period in which the event loop was busy, up to which the process counts as quiet. */
const QUIET_MAX = 0.05
/** How much the heap has to grow since the last time: this much, and by this part of what it was. */
const GROWTH_BYTES = 4 * 1024 ** 2
const GROWTH_PART = 0.25

/** What the keeper needs of the process. */
export interface Heap {
  usedBytes(): number
  /** The share of the time since the last call in which the event loop was busy. */
  busyShare(): number
  collect(): void
}

/** Looks every two seconds, from now on. The timer keeps no process alive. */
export function keepHeapSmall(heap: Heap = processHeap()): NodeJS.Timeout {
  let keptBytes = 0
  return setInterval(() => {
    const grownBytes = heap.usedBytes() - keptBytes
    if (heap.busyShare() > QUIET_MAX) return
    if (grownBytes < Math.max(GROWTH_BYTES, keptBytes * GROWTH_PART)) return
    heap.collect()
    keptBytes = heap.usedBytes()
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
    usedBytes: () => getHeapStatistics().used_heap_size,
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
