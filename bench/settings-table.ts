/** Works that compare settings of one gateway: the rate by the clock, the CPU, and what kept the rate from growing. */
import { availableParallelism } from 'node:os'
import { markdownTable, percent, short } from './markdown.ts'
import type { Results } from './results.ts'
import { median, summarize } from './statistics.ts'
import { othersMax } from './tables.ts'
import type { Sample, Shares } from './work.ts'

/** Of all cores together, above which the machine has no more to give; of one core, for a process with one thread. */
const saturated = 0.9

export function settingsTable(results: Results): string {
  const rows = results.works
    .filter(({ field }) => field !== undefined)
    .flatMap((work) =>
      (work.field ?? []).flatMap((peer) => {
        const samples = results.samples(work.name, peer)
        return samples.length === 0 ? [] : [[work.name, peer, ...cells(samples)]]
      }),
    )
  return markdownTable(
    [
      'work',
      'setting',
      'messages a second',
      'µs CPU a message',
      'cores: gateway',
      'load generator',
      'upstream',
      'others',
      'what bounds the rate',
    ],
    rows,
  )
}

function cells(samples: readonly Sample[]): string[] {
  const rate = summarize(samples.map((sample) => sample.rate ?? 0))
  const cost = summarize(samples.map((sample) => sample.cost))
  const share = (of: keyof Shares) => median(samples.map((sample) => sample.shares?.[of] ?? 0))
  const shares = {
    gateway: share('gateway'),
    load: share('load'),
    upstream: share('upstream'),
    others: share('others'),
  }
  return [
    `${Math.round(rate.median)} (${Math.round(rate.min)} to ${Math.round(rate.max)})`,
    `${short(cost.median)} (${short(cost.min)} to ${short(cost.max)})`,
    percent(shares.gateway),
    percent(shares.load),
    percent(shares.upstream),
    percent(shares.others),
    boundOf(shares, availableParallelism()),
  ]
}

/** In words, from the shares of one core that each took. */
export function boundOf({ gateway, load, upstream, others }: Shares, cores: number): string {
  if (load > saturated) return 'the load generator'
  if (upstream > saturated) return 'the upstream'
  if (gateway + load + upstream + others > saturated * cores) {
    return others > othersMax
      ? 'other processes, which share the cores'
      : 'all cores of the machine are busy'
  }
  return gateway > saturated ? 'the gateway' : 'none is saturated'
}
