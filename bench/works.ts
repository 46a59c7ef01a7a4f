/**
 * What is measured: each work as data (which load, how much of it, what its unit is), and the one way each of the two
 * kinds is measured. Every answer is checked, in the load generator and against the upstream's own counts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuBetween, cpuSnapshot, memoryOf } from './accounting.ts'
import { LoadProcess, numberOf, type LoadLine } from './load-process.ts'
import type { RunningPeer } from './peers.ts'

export interface Work {
  readonly name: string
  readonly title: string
  /** What `Sample.cost` counts. */
  readonly unit: string
  /** Whether each sample wants a peer that was started for it. */
  readonly fresh: boolean
  sample(peer: RunningPeer, upstream: LoadProcess, size: Size): Promise<Sample>
}

/** `warm` only brings the peer to its usual speed. */
type Size = 'warm' | 'full'

export interface Sample {
  /** Of one unit of work: microseconds of CPU, or KiB. */
  readonly cost: number
  /** Units of work a second, by the clock on the wall; `undefined` where nothing is done. */
  readonly rate: number | undefined
  readonly p50us: number | undefined
  readonly p99us: number | undefined
  /** Shares of one core that the load generator and the upstream took. */
  readonly loadShare: number
  readonly upstreamShare: number
}

interface Traffic {
  readonly mode: string
  readonly full: Readonly<Record<string, number>>
  readonly warm: Readonly<Record<string, number>>
  /** The name of the load's count of units. */
  readonly counted: string
  /** How many of which count of the upstream one unit makes. */
  readonly upstreamCount: 'bytes' | 'upgrades' | 'requests'
  readonly perUnit: number
}

const idleTunnels = 5000
const warmTunnels = 500
const settleMs = 10_000
const closeMs = 10_000

const echo64: Traffic = {
  mode: 'echo',
  full: { tunnels: 50, size: 64, seconds: 2 },
  warm: { tunnels: 50, size: 64, seconds: 1 },
  counted: 'messages',
  upstreamCount: 'bytes',
  perUnit: 64,
}

const bulk64k: Traffic = {
  mode: 'echo',
  full: { tunnels: 8, size: 65536, depth: 2, seconds: 2 },
  warm: { tunnels: 8, size: 65536, depth: 2, seconds: 1 },
  counted: 'messages',
  upstreamCount: 'bytes',
  perUnit: 65536,
}

const handshake: Traffic = {
  mode: 'handshake',
  full: { concurrent: 50, count: 4000 },
  warm: { concurrent: 50, count: 4000 },
  counted: 'handshakes',
  upstreamCount: 'upgrades',
  perUnit: 1,
}

const get: Traffic = {
  mode: 'get',
  full: { concurrent: 50, seconds: 2 },
  warm: { concurrent: 50, seconds: 1 },
  counted: 'requests',
  upstreamCount: 'requests',
  perUnit: 1,
}

export const works: readonly Work[] = [
  work('handshake', 'handshake with its close, 50 at a time', 'µs CPU', handshake),
  work('echo64', 'echo of 64 bytes, 50 tunnels', 'µs CPU', echo64),
  work('bulk64k', 'echo of 64 KiB, 8 tunnels, 2 in flight', 'µs CPU', bulk64k),
  work('get', 'plain GET, 50 kept-alive connections', 'µs CPU', get),
  {
    name: 'idle',
    title: `idle tunnel, ${idleTunnels} open`,
    unit: 'KiB memory',
    fresh: true,
    sample: sampleIdle,
  },
]

function work(name: string, title: string, unit: string, traffic: Traffic): Work {
  const sample = (peer: RunningPeer, upstream: LoadProcess, size: Size) =>
    sampleTraffic(traffic, peer, upstream, size)
  return { name, title, unit, fresh: false, sample }
}

async function sampleTraffic(
  traffic: Traffic,
  peer: RunningPeer,
  upstream: LoadProcess,
  size: Size,
): Promise<Sample> {
  const load = new LoadProcess(traffic.mode, { port: peer.port, ...traffic[size] })
  try {
    await load.next()
    const countsBefore = await askCounts(upstream)
    const cpuBefore = cpuSnapshot(peer.pid)
    load.say('go')
    const result = await load.next()
    // The handshakes' tunnels are closed by now; closing them is part of the work. The others' are still open.
    const counts = traffic.mode === 'handshake' ? await closed(upstream) : await askCounts(upstream)
    const cpuNs = cpuBetween(cpuBefore, cpuSnapshot(peer.pid))
    peer.assertAlive()
    const units = numberOf(result, traffic.counted)
    check(result, units * traffic.perUnit, difference(counts, countsBefore, traffic.upstreamCount))
    const seconds = numberOf(result, 'seconds')
    return {
      cost: cpuNs / 1000 / units,
      rate: units / seconds,
      p50us: numberOf(result, 'p50us'),
      p99us: numberOf(result, 'p99us'),
      loadShare: numberOf(result, 'cpuSeconds') / seconds,
      upstreamShare: difference(counts, countsBefore, 'cpuSeconds') / seconds,
    }
  } finally {
    await load.end()
  }
}

async function sampleIdle(peer: RunningPeer, upstream: LoadProcess, size: Size): Promise<Sample> {
  const warmUp = await openIdle(peer, warmTunnels)
  await warmUp.end()
  await closed(upstream)
  if (size === 'full') await sleep(settleMs)
  const before = memoryOf(peer.pid)
  const load = await openIdle(peer, size === 'full' ? idleTunnels : warmTunnels)
  try {
    // A garbage collector that waits for idle time gets some.
    if (size === 'full') await sleep(settleMs)
    const after = memoryOf(peer.pid)
    load.say('go')
    const result = await load.next()
    const tunnels = numberOf(result, 'tunnels')
    if (numberOf(result, 'lost') > 0)
      throw new Error(`${result['lost']} of ${tunnels} tunnels lost`)
    const open = numberOf(await askCounts(upstream), 'tunnels')
    if (open !== tunnels) throw new Error(`${tunnels} tunnels, but ${open} at the upstream`)
    const cost = (after - before) / 1024 / tunnels
    return {
      cost,
      rate: undefined,
      p50us: undefined,
      p99us: undefined,
      loadShare: 0,
      upstreamShare: 0,
    }
  } finally {
    await load.end()
    await closed(upstream)
  }
}

async function openIdle(peer: RunningPeer, tunnels: number): Promise<LoadProcess> {
  const load = new LoadProcess('idle', { port: peer.port, tunnels })
  try {
    await load.next()
    return load
  } catch (error) {
    await load.end()
    peer.assertAlive()
    throw error
  }
}

function check(result: LoadLine, wanted: number, seen: number): void {
  if (result['failed'] !== undefined && result['failed'] !== 0) {
    throw new Error(`${result['failed']} failed, the first: ${result['failure']}`)
  }
  if (wanted !== seen) throw new Error(`the upstream counted ${seen} instead of ${wanted}`)
}

async function askCounts(upstream: LoadProcess): Promise<LoadLine> {
  upstream.say('counts')
  return upstream.next()
}

/** The upstream's counts once its last tunnel has ended. */
async function closed(upstream: LoadProcess): Promise<LoadLine> {
  const deadline = Date.now() + closeMs
  for (;;) {
    const counts = await askCounts(upstream)
    const open = numberOf(counts, 'tunnels')
    if (open === 0) return counts
    if (Date.now() > deadline) {
      throw new Error(`${open} tunnels still open at the upstream after ${closeMs} ms`)
    }
    await sleep(10)
  }
}

function difference(after: LoadLine, before: LoadLine, name: string): number {
  return numberOf(after, name) - numberOf(before, name)
}
