/** Has the peers do the works: all run at once, and each round goes through the works with the peers in turns. */
import type { LoadProcess } from './load-process.ts'
import { takesPart, type Options } from './options.ts'
import type { Peer } from './peer.ts'
import type { Results } from './results.ts'
import { startPeer, type RunningPeer, type Site } from './running-peer.ts'
import type { Size, Work } from './work.ts'

export interface Contestant {
  readonly peer: Peer
  readonly version: string
  /** `undefined` for one that did not start. */
  readonly running: RunningPeer | undefined
}

export interface Contest {
  readonly upstream: LoadProcess
  readonly site: Site
  readonly results: Results
}

/** Starts those that are installed. */
export async function contestants(
  { site, results }: Contest,
  options: Options,
): Promise<readonly Contestant[]> {
  const list: Contestant[] = []
  for (const peer of options.peers) {
    const version = peer.version()
    if (version === undefined) {
      console.log(`${peer.name}: not installed, left out`)
      continue
    }
    const running = await startPeer(peer, site).catch((error: unknown) => {
      const why = (error as Error).message
      console.log(`${peer.name}: FAILED to start: ${why}`)
      for (const work of options.works.filter((one) => takesPart(peer, one)))
        results.set(work, peer.name, { kind: 'failed', why })
      return undefined
    })
    list.push({ peer, version, running })
  }
  return list
}

/** A peer that states that it cannot do a work is noted as absent; what is left are those that can. */
function ableOf(results: Results, work: Work, list: readonly Contestant[]): readonly Contestant[] {
  return list.filter(({ peer, running }) => {
    const why = peer.absences?.[work.name]
    if (!takesPart(peer, work)) return false
    if (why !== undefined) results.set(work, peer.name, { kind: 'absent', why })
    return why === undefined && running !== undefined
  })
}

export async function compete(
  contest: Contest,
  options: Options,
  list: readonly Contestant[],
): Promise<void> {
  const { results } = contest
  const fields = options.works
    .filter((work) => !results.skipped.has(work))
    .map((work) => ({ work, able: ableOf(results, work, list) }))
  for (const { work, able } of fields.filter((field) => !field.work.fresh)) {
    for (const contestant of able) await measure(contest, work, contestant, 'warm')
  }
  for (let round = 0; round < options.rounds; round++) {
    console.log(`round ${round + 1} of ${options.rounds}`)
    for (const { work, able } of fields) {
      // Each round begins with another peer, so that none is always the one after the costliest.
      const first = round % Math.max(1, able.length)
      for (const contestant of [...able.slice(first), ...able.slice(0, first)])
        await measure(contest, work, contestant, 'full')
    }
  }
}

async function measure(
  { upstream, site, results }: Contest,
  work: Work,
  { peer, running }: Contestant,
  size: Size,
): Promise<void> {
  if (running === undefined || results.outcome(work.name, peer.name)?.kind === 'failed') return
  try {
    const target = work.fresh ? await startPeer(peer, site) : running
    try {
      const sample = await work.sample(target, upstream, size)
      if (size === 'full') results.add(work, peer.name, sample)
      const said = work.measures.map(({ of, unit }) => `${sample[of]?.toFixed(2)} ${unit}`)
      console.log(`${work.name} ${peer.name}: ${size === 'warm' ? 'warm' : said.join(', ')}`)
    } finally {
      if (work.fresh) await target.stop()
    }
  } catch (error) {
    const why = (error as Error).message
    console.log(`${work.name} ${peer.name}: FAILED: ${why}`)
    results.set(work, peer.name, { kind: 'failed', why })
  }
}
