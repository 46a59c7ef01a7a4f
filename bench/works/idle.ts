/** The memory of tunnels that say nothing, above that of the same process with fewer of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryOf } from '../accounting.ts'
import { LoadProcess, numberOf } from '../load-process.ts'
import type { RunningPeer } from '../running-peer.ts'
import type { Sample, Size } from '../work.ts'
import { askCounts, closed } from './upstream.ts'

export const idleTunnels = 5000

/**
 * Stay open as well, below those that are counted: a peer that keeps the memory of tunnels which are closed would otherwise
 * have it for the next ones, and they would seem to need less. Enough for one that tidies up behind a rush to have done so.
 */
const warmTunnels = 1500
/** A garbage collector that waits for idle time gets some. */
const settleMs = 8_000

/** `streams`: how many share a connection of HTTP/2; each has one of HTTP/1.1 to itself if left out. */
interface Idle {
  readonly streams?: number
}

export async function sampleIdle(
  idle: Idle,
  peer: RunningPeer,
  upstream: LoadProcess,
  size: Size,
): Promise<Sample> {
  const warm = await openIdle(idle, peer, warmTunnels)
  try {
    if (size === 'full') await sleep(settleMs)
    const before = memoryOf(peer.pid)
    const load = await openIdle(idle, peer, size === 'full' ? idleTunnels : warmTunnels)
    try {
      if (size === 'full') await sleep(settleMs)
      const after = memoryOf(peer.pid)
      const tunnels = await assertOpen(load, upstream)
      return {
        cost: (after - before) / 1024 / tunnels,
        rate: undefined,
        p50us: undefined,
        p99us: undefined,
        p999us: undefined,
        shares: undefined,
        lateP99us: undefined,
      }
    } finally {
      await load.end()
    }
  } finally {
    await warm.end()
    await closed(upstream)
  }
}

/** How many counted tunnels there are, once both ends have agreed that all of them are still open. */
async function assertOpen(load: LoadProcess, upstream: LoadProcess): Promise<number> {
  load.say('go')
  const result = await load.next()
  const tunnels = numberOf(result, 'tunnels')
  if (numberOf(result, 'lost') > 0) throw new Error(`${result['lost']} of ${tunnels} tunnels lost`)
  const open = numberOf(await askCounts(upstream), 'tunnels')
  if (open !== tunnels + warmTunnels)
    throw new Error(`${tunnels + warmTunnels} tunnels, but ${open} at the upstream`)
  return tunnels
}

async function openIdle(
  { streams }: Idle,
  peer: RunningPeer,
  tunnels: number,
): Promise<LoadProcess> {
  const load =
    streams === undefined
      ? new LoadProcess('plain', 'idle', { port: peer.port, tunnels })
      : new LoadProcess('plain', 'idle-h2', { port: peer.http2Port, tunnels, streams })
  try {
    await load.next()
    return load
  } catch (error) {
    await load.end()
    peer.assertAlive()
    throw error
  }
}
