/** The results as Markdown: the costs side by side, the targets, and what the clock on the wall said. */
import type { Sample, Work } from './works.ts'
import { median, summarize } from './statistics.ts'

/** The samples of one work by the name of the peer, or the words of its failure. */
type WorkResults = ReadonlyMap<string, readonly Sample[] | Error>
export type Results = ReadonlyMap<Work, WorkResults>

interface Target {
  readonly work: string
  readonly peer: string
  /** What the first peer may cost at most, as a share of what this one costs. */
  readonly ratioMax: number
}

/** Who is compared with the others. */
const subject = 'upgate'

/** A load generator above this share of a core would itself be what is measured. */
const shareMax = 0.9

const targets: readonly Target[] = [
  { work: 'handshake', peer: 'http-proxy-3', ratioMax: 0.4 },
  { work: 'echo64', peer: 'http-proxy-3', ratioMax: 1 },
  { work: 'idle', peer: 'http-proxy-3', ratioMax: 0.5 },
]

/** Medians, spreads, and in bold how many times the subject's cost it is. */
export function costTable(results: Results, peers: readonly string[]): string {
  const rows = [...results].map(([work, byPeer]) => {
    const own = medianCost(byPeer, subject)
    return [
      `${work.title} (${work.name})`,
      work.unit,
      ...peers.map((peer) => costCell(byPeer, peer, own)),
    ]
  })
  return markdown(['one', 'cost', ...peers], rows)
}

function costCell(results: WorkResults, peer: string, own: number | undefined): string {
  const samples = results.get(peer)
  if (samples === undefined) return ''
  if (samples instanceof Error) return `failed: ${samples.message}`
  const cost = summarize(samples.map((sample) => sample.cost))
  const ratio =
    own === undefined || peer === subject ? '' : `, **×${(cost.median / own).toFixed(2)}**`
  return `${short(cost.median)} (${short(cost.min)} to ${short(cost.max)})${ratio}`
}

export function targetTable(results: Results): string {
  const rows: string[][] = []
  for (const [work, byPeer] of results) {
    for (const target of targets.filter(({ work: name }) => name === work.name)) {
      const own = medianCost(byPeer, subject)
      const other = medianCost(byPeer, target.peer)
      const ratio = own === undefined || other === undefined ? undefined : own / other
      const verdict = ratio !== undefined && ratio <= target.ratioMax ? 'reached' : '**MISSED**'
      const name = `${work.name}, ${subject} / ${target.peer}`
      const measured = ratio?.toFixed(2) ?? 'not measured'
      rows.push([name, `at most ${target.ratioMax}`, measured, ratio === undefined ? '' : verdict])
    }
  }
  return markdown(['target', 'limit', 'measured', ''], rows)
}

/** Units a second and latencies: they depend on what else runs on the cores, so they are for orientation alone. */
export function wallTable(results: Results, peers: readonly string[]): string {
  const rows: string[][] = []
  for (const [work, byPeer] of results) {
    const cells = peers.map((peer) => wallCell(byPeer.get(peer)))
    if (cells.some((cell) => cell !== '')) rows.push([work.name, ...cells])
  }
  return markdown(['a second; p50, p99 in ms', ...peers], rows)
}

function wallCell(samples: readonly Sample[] | Error | undefined): string {
  if (samples === undefined || samples instanceof Error) return ''
  const rate = medianOf(samples, (sample) => sample.rate)
  const p50 = medianOf(samples, (sample) => sample.p50us)
  const p99 = medianOf(samples, (sample) => sample.p99us)
  if (rate === undefined || p50 === undefined || p99 === undefined) return ''
  return `${Math.round(rate)}; ${short(p50 / 1000)}, ${short(p99 / 1000)}`
}

/** Whether the load generator or the upstream had a whole core to do, per work, at its highest. */
export function shareLines(results: Results): string {
  const lines: string[] = []
  for (const [work, byPeer] of results) {
    for (const [peer, samples] of byPeer) {
      if (samples instanceof Error) continue
      const load = Math.max(...samples.map((sample) => sample.loadShare))
      const upstream = Math.max(...samples.map((sample) => sample.upstreamShare))
      if (load === 0) continue
      const limit = Math.max(load, upstream) > shareMax ? ' **THE LIMIT**' : ''
      lines.push(
        `${work.name} ${peer}: load ${percent(load)}, upstream ${percent(upstream)}${limit}`,
      )
    }
  }
  return lines.map((line) => `- ${line}`).join('\n')
}

function medianCost(results: WorkResults, peer: string): number | undefined {
  const samples = results.get(peer)
  return samples === undefined || samples instanceof Error
    ? undefined
    : medianOf(samples, (sample) => sample.cost)
}

function medianOf(
  samples: readonly Sample[],
  value: (sample: Sample) => number | undefined,
): number | undefined {
  const values = samples.map(value).filter((one) => one !== undefined)
  return values.length === 0 ? undefined : median(values)
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const lines = [head, head.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Three digits that count. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}
