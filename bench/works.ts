/** What is measured: each work as data (which load, how much of it, what its unit is). */
import type { LoadProcess } from './load-process.ts'
import type { RunningPeer } from './running-peer.ts'
import type { Measure, Size, Work } from './work.ts'
import { idleTunnels, sampleIdle } from './works/idle.ts'
import { sampleTraffic, type Traffic } from './works/traffic.ts'

const cpu: readonly Measure[] = [{ of: 'cost', label: '', unit: 'µs CPU' }]
const memory: readonly Measure[] = [{ of: 'cost', label: '', unit: 'KiB memory' }]
const latency: readonly Measure[] = [
  { of: 'p50us', label: 'p50', unit: 'µs' },
  { of: 'p99us', label: 'p99', unit: 'µs' },
  { of: 'p999us', label: 'p99.9', unit: 'µs' },
]
const throughput: readonly Measure[] = [{ of: 'rate', label: '', unit: 'a second' }, ...cpu]

/** Messages of `size` bytes on tunnels; `settings` go to the load generator. */
function messages(
  mode: Extract<Traffic['mode'], 'echo' | 'echo-h2' | 'paced'>,
  size: number,
  settings: { readonly tunnels: number; readonly seconds: number; readonly [name: string]: number },
): Traffic {
  return {
    wire: 'plain',
    mode,
    full: { size, ...settings },
    warm: { size, ...settings, seconds: 1 },
    counted: 'messages',
    upstreamCount: 'bytes',
    perUnit: size,
    pinned: false,
  }
}

const echo64 = messages('echo', 64, { tunnels: 50, seconds: 2 })

const many = messages('echo', 64, { tunnels: 9000, active: 200, seconds: 2 })
const echo64Many: Traffic = { ...many, warm: { ...many.warm, tunnels: 500 } }

/** Apache works on no more than six of a connection at a time until some have ended. */
const echoStreams = 5
const echo64Http2 = messages('echo-h2', 64, { tunnels: 50, streams: echoStreams, seconds: 2 })

const bulk64k = messages('echo', 65_536, { tunnels: 8, depth: 2, seconds: 2 })

const latency1: Traffic = { ...messages('echo', 64, { tunnels: 1, seconds: 3 }), pinned: true }

/** A rate that leaves every gateway idle for more than half of the time. */
const pacedRate = 10_000
const latency50: Traffic = {
  ...messages('paced', 64, { tunnels: 50, rate: pacedRate, seconds: 4 }),
  pinned: true,
}

/** As many as every peer lets a client have without asking for more. */
const idleStreams = 100

const handshake: Traffic = {
  wire: 'plain',
  mode: 'handshake',
  full: { concurrent: 50, count: 4000 },
  // As many as a compiler that works while the program runs wants to have seen.
  warm: { concurrent: 50, count: 20_000 },
  counted: 'handshakes',
  upstreamCount: 'upgrades',
  perUnit: 1,
  pinned: false,
}

const get: Traffic = {
  wire: 'plain',
  mode: 'get',
  full: { concurrent: 50, seconds: 2 },
  warm: { concurrent: 50, seconds: 1 },
  counted: 'requests',
  upstreamCount: 'requests',
  perUnit: 1,
  pinned: false,
}

/** Two settings of one gateway, for a table of their own. */
const threadsField = ['upgate', 'upgate-2threads']
const framesField = ['upgate', 'upgate-noframes']

export const works: readonly Work[] = [
  {
    ...by(handshake),
    name: 'handshake',
    title: 'handshake with its close, 50 at a time',
    measures: cpu,
  },
  { ...by(echo64), name: 'echo64', title: 'echo of 64 bytes, 50 tunnels', measures: cpu },
  {
    ...by(echo64Many),
    name: 'echo64-many',
    title: 'echo of 64 bytes, 9,000 tunnels open, 200 of them active',
    measures: cpu,
  },
  {
    ...by({ ...echo64, wire: 'tls' }),
    name: 'tls-echo64',
    title: 'echo of 64 bytes, 50 tunnels, TLS 1.3 in front',
    measures: cpu,
    needs: 'tls',
  },
  {
    ...by(echo64Http2),
    name: 'echo64-h2',
    title: `echo of 64 bytes, 50 tunnels, ${echoStreams} on each connection of HTTP/2`,
    measures: cpu,
  },
  {
    ...by(bulk64k),
    name: 'bulk64k',
    title: 'echo of 64 KiB, 8 tunnels, 2 in flight',
    measures: cpu,
  },
  { ...by(get), name: 'get', title: 'plain GET, 50 kept-alive connections', measures: cpu },
  {
    ...by(latency1),
    name: 'latency1',
    title: 'time of an echo of 64 bytes, 1 tunnel, one message after the other',
    measures: latency,
    needs: 'pinning',
  },
  {
    ...by(latency50),
    name: 'latency50',
    title: `time of an echo of 64 bytes, 50 tunnels, ${pacedRate} messages a second by the clock`,
    measures: latency,
    needs: 'pinning',
  },
  {
    name: 'idle',
    title: `idle tunnel, each of ${idleTunnels} more`,
    measures: memory,
    fresh: true,
    sample: (...of) => sampleIdle({}, ...of),
  },
  {
    name: 'idle-h2',
    title: `idle tunnel, each of ${idleTunnels} more, ${idleStreams} on each connection of HTTP/2`,
    measures: memory,
    fresh: true,
    sample: (...of) => sampleIdle({ streams: idleStreams }, ...of),
  },
  {
    ...by(echo64),
    name: 'echo64-2threads',
    title: 'echo of 64 bytes, 50 tunnels, one relay thread against two',
    measures: throughput,
    field: threadsField,
  },
  {
    ...by(echo64),
    name: 'echo64-frames',
    title: 'echo of 64 bytes, 50 tunnels, frames followed or not',
    measures: throughput,
    field: framesField,
  },
]

function by(traffic: Traffic) {
  const sample = (peer: RunningPeer, upstream: LoadProcess, size: Size) =>
    sampleTraffic(traffic, peer, upstream, size)
  return { fresh: false, sample }
}
