/**
 * Works that send something: a load for some time or some count, the CPU time of the gateway's threads meanwhile, and
 * a check that the upstream has seen exactly what the load generator says was answered.
 */
import { cpuBetween, cpuSnapshot, machineBusyNs } from '../accounting.ts'
import { pin, unpin } from '../affinity.ts'
import type { WireKind } from '../load-program.ts'
import { LoadProcess, numberOf, type LoadLine } from '../load-process.ts'
import type { RunningPeer } from '../running-peer.ts'
import type { Sample, Shares, Size } from '../work.ts'
import { askCounts, closed, difference } from './upstream.ts'

export interface Traffic {
  readonly wire: WireKind
  /** Of the load generator. */
  readonly mode: 'echo' | 'echo-h2' | 'paced' | 'handshake' | 'get'
  readonly full: Readonly<Record<string, number>>
  readonly warm: Readonly<Record<string, number>>
  /** The name of the load's count of units. */
  readonly counted: string
  /** How many of which count of the upstream one unit makes. */
  readonly upstreamCount: 'bytes' | 'upgrades' | 'requests'
  readonly perUnit: number
  /** Whether the gateway has a core to itself and the others another one. */
  readonly pinned: boolean
}

export async function sampleTraffic(
  traffic: Traffic,
  peer: RunningPeer,
  upstream: LoadProcess,
  size: Size,
): Promise<Sample> {
  const port = portFor(traffic, peer)
  if (port === undefined) throw new Error('it has no listener for TLS')
  const load = new LoadProcess(traffic.wire, traffic.mode, { port, ...traffic[size] })
  try {
    if (traffic.pinned) pin(peer.pid, [upstream.pid, load.pid])
    await load.next()
    return await run(traffic, peer, upstream, load)
  } finally {
    await load.end()
    if (traffic.pinned) unpin([peer.pid, upstream.pid])
    // A gateway that has yet to close thousands of tunnels would do so at the expense of the next one's figures.
    await closed(upstream)
  }
}

function portFor({ wire, mode }: Traffic, peer: RunningPeer): number | undefined {
  if (mode === 'echo-h2') return peer.http2Port
  return wire === 'tls' ? peer.tlsPort : peer.port
}

async function run(
  traffic: Traffic,
  peer: RunningPeer,
  upstream: LoadProcess,
  load: LoadProcess,
): Promise<Sample> {
  const countsBefore = await askCounts(upstream)
  const cpuBefore = cpuSnapshot(peer.pid)
  const busyBefore = machineBusyNs()
  load.say('go')
  const result = await load.next()
  // The handshakes' tunnels are closed by now; closing them is part of the work. The others' are still open.
  const counts = traffic.mode === 'handshake' ? await closed(upstream) : await askCounts(upstream)
  const cpuNs = cpuBetween(cpuBefore, cpuSnapshot(peer.pid))
  const busyNs = machineBusyNs() - busyBefore
  peer.assertAlive()
  const units = numberOf(result, traffic.counted)
  check(result, units * traffic.perUnit, difference(counts, countsBefore, traffic.upstreamCount))
  const seconds = numberOf(result, 'seconds')
  return {
    cost: cpuNs / 1000 / units,
    rate: units / seconds,
    p50us: numberOf(result, 'p50us'),
    p99us: numberOf(result, 'p99us'),
    p999us: numberOf(result, 'p999us'),
    shares: sharesOf({
      gateway: cpuNs / 1e9 / seconds,
      load: numberOf(result, 'cpuSeconds') / seconds,
      upstream: difference(counts, countsBefore, 'cpuSeconds') / seconds,
      machine: busyNs / 1e9 / seconds,
    }),
    lateP99us: traffic.mode === 'paced' ? numberOf(result, 'lateP99us') : undefined,
  }
}

function sharesOf({
  machine,
  ...own
}: Omit<Shares, 'others'> & { readonly machine: number }): Shares {
  return { ...own, others: Math.max(0, machine - own.gateway - own.load - own.upstream) }
}

function check(result: LoadLine, wanted: number, seen: number): void {
  if (result['failed'] !== undefined && result['failed'] !== 0) {
    throw new Error(`${result['failed']} failed, the first: ${result['failure']}`)
  }
  if (wanted !== seen) throw new Error(`the upstream counted ${seen} instead of ${wanted}`)
}
