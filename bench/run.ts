/**
 * Compares upgate with its peers: all run at once, each work goes round them in turns, and what counts is the CPU time
 * of a peer's processes for one unit of work, not the clock on the wall. Prints the tables and, of a whole run, writes
 * them to bench/results.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildLoad, LoadProcess, numberOf } from './load-process.ts'
import { peers, startPeer, type Peer, type RunningPeer } from './peers.ts'
import { report } from './report.ts'
import { works, type Sample, type Work } from './works.ts'

const usage = `usage: node bench/run.ts [--peers NAME,...] [--work NAME,...] [--rounds N] [--results FILE]
peers: ${peers.map(({ name }) => name).join(' ')}
works: ${works.map(({ name }) => name).join(' ')}`

interface Options {
  readonly peers: readonly Peer[]
  readonly works: readonly Work[]
  readonly rounds: number
  /** Where the results go; `undefined` for the terminal alone. */
  readonly resultsFile: string | undefined
}

interface Contestant {
  readonly peer: Peer
  readonly version: string
  /** `undefined` for one that did not start. */
  readonly running: RunningPeer | undefined
}

interface Bench {
  readonly upstream: LoadProcess
  readonly upstreamPort: number
  readonly directory: string
  /** What `Results` is, while it grows. */
  readonly samples: Map<Work, Map<string, Sample[] | Error>>
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      peers: { type: 'string' },
      work: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      results: { type: 'string' },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    throw new TypeError('--rounds: from 1 to 100')
  const whole = values.peers === undefined && values.work === undefined && rounds >= 5
  return {
    peers: named(peers, values.peers),
    works: named(works, values.work),
    rounds,
    resultsFile: values.results ?? (whole ? join(import.meta.dirname, 'results.md') : undefined),
  }
}

function named<T extends { readonly name: string }>(
  all: readonly T[],
  list: string | undefined,
): readonly T[] {
  return (
    list?.split(',').map((name) => {
      const found = all.find((one) => one.name === name)
      if (found === undefined) throw new TypeError(`unknown: ${name}`)
      return found
    }) ?? all
  )
}

async function contestants(bench: Bench, options: Options): Promise<readonly Contestant[]> {
  const list: Contestant[] = []
  for (const peer of options.peers) {
    const version = peer.version()
    if (version === undefined) {
      console.log(`${peer.name}: not installed, left out`)
      continue
    }
    const running = await startPeer(peer, bench.upstreamPort, bench.directory).catch(
      (error: unknown) => {
        for (const work of options.works) note(bench, work, peer, error as Error)
        return undefined
      },
    )
    list.push({ peer, version, running })
  }
  return list
}

/** A peer that fails a work once is out of that work; the words stay. */
function note(bench: Bench, work: Work, peer: Peer, result: Sample | Error): void {
  let byPeer = bench.samples.get(work)
  if (byPeer === undefined) bench.samples.set(work, (byPeer = new Map()))
  const samples = byPeer.get(peer.name)
  if (result instanceof Error) {
    console.log(`${work.name} ${peer.name}: FAILED: ${result.message}`)
    byPeer.set(peer.name, result)
  } else if (samples === undefined) {
    byPeer.set(peer.name, [result])
  } else if (!(samples instanceof Error)) {
    samples.push(result)
  }
}

async function measure(
  bench: Bench,
  work: Work,
  contestant: Contestant,
  warm: boolean,
): Promise<void> {
  const { peer, running } = contestant
  if (running === undefined || bench.samples.get(work)?.get(peer.name) instanceof Error) return
  if (warm && work.fresh) return
  try {
    const target = work.fresh ? await startPeer(peer, bench.upstreamPort, bench.directory) : running
    try {
      const sample = await work.sample(target, bench.upstream, warm ? 'warm' : 'full')
      if (!warm) note(bench, work, peer, sample)
      console.log(`${work.name} ${peer.name}: ${warm ? 'warm' : sample.cost.toFixed(2)}`)
    } finally {
      if (work.fresh) await target.stop()
    }
  } catch (error) {
    note(bench, work, peer, error as Error)
  }
}

async function run(bench: Bench, options: Options, list: readonly Contestant[]): Promise<void> {
  for (const work of options.works) {
    for (const contestant of list) await measure(bench, work, contestant, true)
  }
  for (let round = 0; round < options.rounds; round++) {
    console.log(`round ${round + 1} of ${options.rounds}`)
    for (const work of options.works) {
      // Each round begins with another peer, so that none is always the one after the costliest.
      for (let turn = 0; turn < list.length; turn++) {
        const contestant = list[(turn + round) % list.length]
        if (contestant !== undefined) await measure(bench, work, contestant, false)
      }
    }
  }
}

async function main(options: Options): Promise<void> {
  const startLoad = loadavg()[0] ?? 0
  buildLoad()
  const upstream = new LoadProcess('serve', { port: 0 })
  const upstreamPort = numberOf(await upstream.next(), 'port')
  const directory = mkdtempSync(join(import.meta.dirname, '../build/bench/run-'))
  const bench: Bench = { upstream, upstreamPort, directory, samples: new Map() }
  const list = await contestants(bench, options)
  try {
    await run(bench, options, list)
  } finally {
    for (const { running } of list) await running?.stop()
    await upstream.end()
    rmSync(directory, { recursive: true })
  }
  const text = report(bench.samples, { rounds: options.rounds, startLoad, contestants: list })
  console.log(`\n${text}`)
  if (options.resultsFile !== undefined) writeFileSync(options.resultsFile, text)
  const outcomes = [...bench.samples.values()].flatMap((byPeer) => [...byPeer.values()])
  if (outcomes.some((outcome) => outcome instanceof Error)) process.exitCode = 1
}

let options: Options | undefined
try {
  options = readOptions()
} catch (error) {
  console.error(`${(error as Error).message}\n${usage}`)
  process.exitCode = 2
}
if (options !== undefined) await main(options)
