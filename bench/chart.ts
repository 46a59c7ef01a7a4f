/** What the chart shows: for each measure of each work, how many times upgate's cost every peer's is. */
import { drawBars, type BarGroup } from './bar-chart.ts'
import { short } from './markdown.ts'
import type { Peer } from './peer.ts'
import type { Results } from './results.ts'
import { openWorks, subject } from './tables.ts'

/** SVG. A group without a figure of upgate is left out, as there is nothing to compare with. */
export function chart(results: Results, list: readonly { readonly peer: Peer }[]): string {
  const names = list.filter(({ peer }) => peer.variantOf === undefined).map(({ peer }) => peer.name)
  const groups = openWorks(results).flatMap((work) =>
    work.measures
      .filter(({ of }) => of !== 'p999us')
      .flatMap(({ of, label, unit }): readonly BarGroup[] => {
        const own = results.median(work.name, subject, of)
        if (own === undefined) return []
        const bars = names.map((name) => {
          const value = results.median(work.name, name, of)
          return value === undefined
            ? { name, ratio: undefined, words: 'not measured' }
            : { name, ratio: value / own, words: `${short(value)} ${unit.split(' ')[0]}` }
        })
        return [{ title: `${work.name} ${label}`.trim(), bars }]
      }),
  )
  return drawBars({
    title: `Cost relative to ${subject} = 1 (shorter is cheaper), medians`,
    names,
    groups,
  })
}
