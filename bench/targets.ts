/** What upgate is meant to reach, as data, and whether it does. One that is missed stays in the table, in bold. */
import { markdownTable } from './markdown.ts'
import type { Results } from './results.ts'
import { subject } from './tables.ts'
import type { Quantity } from './work.ts'

type Limit =
  | { readonly kind: 'at most' | 'below' | 'above'; readonly value: number }
  /** Only to be looked at. */
  | undefined

interface Figure {
  readonly work: string
  readonly peer: string
  readonly of: Quantity
}

interface Target {
  readonly name: string
  readonly figure: Figure
  /** What it is divided by; the figure itself is what counts if left out. */
  readonly by?: Figure
  readonly limit: Limit
}

export const targets: readonly Target[] = [
  ...against('handshake', 'cost', {
    nginx: atMost(2),
    apache2: { kind: 'below', value: 1 },
    caddy: atMost(0.4),
    'http-proxy-3': atMost(0.25),
  }),
  ...against('echo64', 'cost', {
    nginx: atMost(0.95),
    haproxy: atMost(0.75),
    'http-proxy-3': atMost(0.4),
  }),
  {
    name: `echo64-many / echo64, both ${subject}`,
    figure: { work: 'echo64-many', peer: subject, of: 'cost' },
    by: { work: 'echo64', peer: subject, of: 'cost' },
    limit: atMost(1.2),
  },
  ...against('echo64-h2', 'cost', { haproxy: undefined }),
  ...against('tls-echo64', 'cost', { 'http-proxy-3': atMost(0.9), nginx: undefined }),
  ...against('bulk64k', 'cost', { nginx: atMost(0.25), haproxy: atMost(0.45) }),
  ...['latency1', 'latency50'].flatMap((work) =>
    (['p50us', 'p99us'] as const).flatMap((of) =>
      against(work, of, { nginx: atMost(1), haproxy: atMost(1) }),
    ),
  ),
  {
    name: `idle, ${subject}, KiB`,
    figure: { work: 'idle', peer: subject, of: 'cost' },
    limit: atMost(2),
  },
  ...against('idle-h2', 'cost', { haproxy: undefined }),
  {
    name: 'echo64-2threads, rate with 2 threads / with 1',
    figure: { work: 'echo64-2threads', peer: `${subject}-2threads`, of: 'rate' },
    by: { work: 'echo64-2threads', peer: subject, of: 'rate' },
    limit: { kind: 'above', value: 1 },
  },
  {
    name: 'echo64-frames, cost with frames / without',
    figure: { work: 'echo64-frames', peer: subject, of: 'cost' },
    by: { work: 'echo64-frames', peer: `${subject}-noframes`, of: 'cost' },
    limit: atMost(1.03),
  },
]

function atMost(value: number): Limit {
  return { kind: 'at most', value }
}

/** The subject's figure divided by that of each peer. */
function against(
  work: string,
  of: Quantity,
  limits: Readonly<Record<string, Limit>>,
): readonly Target[] {
  const quantile = of === 'cost' ? '' : ` ${of.replace('us', '')}`
  return Object.entries(limits).map(([peer, limit]) => ({
    name: `${work}${quantile}, ${subject} / ${peer}`,
    figure: { work, peer: subject, of },
    by: { work, peer, of },
    limit,
  }))
}

/** The targets of the works that were run. */
export function targetTable(results: Results): string {
  const rows = targets
    .filter(({ figure }) => results.works.some((work) => work.name === figure.work))
    .map(({ name, figure, by, limit }) => {
      const value = valueOf(results, figure)
      const divisor = by === undefined ? 1 : valueOf(results, by)
      const measured = value === undefined || divisor === undefined ? undefined : value / divisor
      return [
        name,
        limit === undefined ? 'none' : `${limit.kind} ${limit.value}`,
        measured?.toFixed(2) ?? 'not measured',
        verdict(measured, limit),
      ]
    })
  return markdownTable(['target', 'limit', 'measured', ''], rows)
}

function valueOf(results: Results, { work, peer, of }: Figure): number | undefined {
  return results.median(work, peer, of)
}

/** Empty where there is nothing to judge. */
export function verdict(measured: number | undefined, limit: Limit): string {
  if (measured === undefined || limit === undefined) return ''
  return isReached(measured, limit) ? 'reached' : '**MISSED**'
}

function isReached(measured: number, { kind, value }: NonNullable<Limit>): boolean {
  switch (kind) {
    case 'at most':
      return measured <= value
    case 'below':
      return measured < value
    case 'above':
      return measured > value
  }
}
