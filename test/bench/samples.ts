/** Samples and works for the tests of what is said about them. */
import { Results } from '../../bench/results.ts'
import type { Sample, Work } from '../../bench/work.ts'

export function work(name: string, extra: Partial<Work> = {}): Work {
  return {
    name,
    title: `the ${name}`,
    measures: [{ of: 'cost', label: '', unit: 'µs CPU' }],
    fresh: false,
    sample: () => Promise.reject(new Error('not to be measured')),
    ...extra,
  }
}

export function sample(cost: number, extra: Partial<Sample> = {}): Sample {
  return {
    cost,
    rate: undefined,
    p50us: undefined,
    p99us: undefined,
    p999us: undefined,
    shares: undefined,
    lateP99us: undefined,
    ...extra,
  }
}

/** Of one work, with the costs of each peer. */
export function resultsOf(one: Work, costs: Readonly<Record<string, readonly number[]>>): Results {
  const results = new Results([one])
  for (const [peer, values] of Object.entries(costs)) {
    for (const cost of values) results.add(one, peer, sample(cost))
  }
  return results
}
