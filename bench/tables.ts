/** The results as Markdown: the costs side by side, what the clock on the wall said, and who had how much to do. */
import { markdownList, markdownTable, percent, short } from './markdown.ts'
import type { Results } from './results.ts'
import { median, summarize } from './statistics.ts'
import type { Measure, Sample, Work } from './work.ts'

/** Who is compared with the others. */
export const subject = 'upgate'

/** A load generator above this share of a core would itself be what is measured. */
const shareMax = 0.9

/** What the rest of a quiet machine takes is less than this share of a core. */
export const othersMax = 0.15

/** Medians, spreads, and in bold how many times the subject's cost it is. */
export function costTable(results: Results, peers: readonly string[]): string {
  const rows = openWorks(results).flatMap((work) =>
    work.measures.map((measure) => [
      [`${work.title} (${work.name})`, measure.label].filter((word) => word !== '').join(': '),
      measure.unit,
      ...peers.map((peer) => costCell(results, work, measure, peer)),
    ]),
  )
  return markdownTable(['one', 'cost', ...peers], rows)
}

/** Works in which everybody is compared with everybody, and that were not skipped. */
export function openWorks(results: Results): readonly Work[] {
  return results.works.filter((work) => work.field === undefined && !results.skipped.has(work))
}

function costCell(results: Results, work: Work, { of }: Measure, peer: string): string {
  const kind = results.outcome(work.name, peer)?.kind
  if (kind === 'failed') return 'failed'
  const values = results.values(work.name, peer, of)
  if (values.length === 0) return '-'
  const cost = summarize(values)
  const own = results.median(work.name, subject, of)
  const ratio =
    own === undefined || peer === subject ? '' : `, **×${(cost.median / own).toFixed(2)}**`
  return `${short(cost.median)} (${short(cost.min)} to ${short(cost.max)})${ratio}`
}

/** What was left out or failed, and why. */
export function gapLines(results: Results): string {
  const skipped = [...results.skipped].map(([work, why]) => `${work.name} was left out: ${why}`)
  const gaps = results.works.flatMap((work) =>
    [...results.outcomes(work)].flatMap(([peer, outcome]) => {
      if (outcome.kind === 'measured') return []
      const verb = outcome.kind === 'failed' ? 'failed in' : 'takes no part in'
      return [`${peer} ${verb} ${work.name}: ${outcome.why.replaceAll('\n', ' ')}`]
    }),
  )
  return markdownList([...skipped, ...gaps])
}

/** Units a second and latencies: they depend on what else runs on the cores, so they are for orientation alone. */
export function wallTable(results: Results, peers: readonly string[]): string {
  const rows: string[][] = []
  for (const work of openWorks(results)) {
    if (work.needs === 'pinning') continue
    const cells = peers.map((peer) => wallCell(results, work.name, peer))
    if (cells.some((cell) => cell !== '-')) rows.push([work.name, ...cells])
  }
  return markdownTable(['a second; p50, p99, p99.9 in ms', ...peers], rows)
}

function wallCell(results: Results, work: string, peer: string): string {
  const rate = results.median(work, peer, 'rate')
  if (rate === undefined) return '-'
  const latencies = (['p50us', 'p99us', 'p999us'] as const).map((of) =>
    short((results.median(work, peer, of) ?? 0) / 1000),
  )
  return `${Math.round(rate)}; ${latencies.join(', ')}`
}

/** Whether the load generator or the upstream had a whole core to do, at its highest, and how busy the machine was else. */
export function shareLines(results: Results): string {
  const lines = openWorks(results).flatMap((work) =>
    [...results.outcomes(work)].flatMap(([peer, outcome]) =>
      outcome.kind === 'measured' ? shareLine(`${work.name} ${peer}`, outcome.samples) : [],
    ),
  )
  return markdownList(lines)
}

function shareLine(name: string, samples: readonly Sample[]): string[] {
  const shares = samples.map((sample) => sample.shares).filter((one) => one !== undefined)
  if (shares.length === 0) return []
  const load = Math.max(...shares.map((one) => one.load))
  const upstream = Math.max(...shares.map((one) => one.upstream))
  const others = median(shares.map((one) => one.others))
  const limit = Math.max(load, upstream) > shareMax ? ' **THE LIMIT**' : ''
  const disturbed = others > othersMax ? ' **DISTURBED**' : ''
  const late = samples.map(({ lateP99us }) => lateP99us).filter((one) => one !== undefined)
  const sent = late.length === 0 ? '' : `, sent ${short(median(late))} µs late (p99)`
  return [
    `${name}: load ${percent(load)}, upstream ${percent(upstream)}, others ${percent(others)}${sent}${limit}${disturbed}`,
  ]
}
