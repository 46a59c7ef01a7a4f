/** Calls about upstreams: their endpoints, emptying one of them, and evening tunnels out among them. */

import { z } from 'zod'
import { named } from './schemas.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import type { Pool } from '../balance/pool.ts'
import { count, duration, flag, percentage } from '../config/scalars.ts'
import { nearest } from '../config/section.ts'
import { NoRebalance, type RebalanceJob } from '../tunnels/rebalance.ts'
import { accepted, ok, operation, type Desk } from './operation.ts'
import type { ApiParts } from './parts.ts'
import { problem, type Answer } from './problem.ts'

const number = z.int().min(0)

const endpointSchema = named(
  'Endpoint',
  z.strictObject({
    id: z.string(),
    url: z.string().describe('As in the config.'),
    up: z.boolean().describe('False while it is set aside since it failed.'),
    draining: z.boolean().describe('It gets no new tunnels, as an operator wants it.'),
    closing: z.boolean().describe('Its open tunnels are being closed.'),
    weight: z.number(),
    tunnels: number.describe('Open ones.'),
    inUse: number.describe('Tunnels, handshakes and plain requests in progress.'),
  }),
)

const rebalanceSchema = named(
  'Rebalance',
  z.strictObject({
    upstream: z.string(),
    state: z.enum(['running', 'done', 'stopped']),
    rate: z.number().describe('Tunnels closed a second at most.'),
    spread: z.number().describe('How far above its share an endpoint may be: 0.1 for 10%.'),
    startedAt: z.iso.datetime(),
    closed: number.describe('Tunnels closed so far.'),
  }),
)

const upstreamSchema = named(
  'Upstream',
  z.strictObject({
    name: z.string(),
    balance: z.enum(['least-tunnels', 'round-robin', 'random-two', 'hash']),
    tunnels: number.describe('Open ones, at all of its endpoints.'),
    endpoints: z.array(endpointSchema),
    rebalance: rebalanceSchema.nullable().describe('The job that runs, or the last one.'),
  }),
)

const upstreamListSchema = named(
  'UpstreamList',
  z.strictObject({ upstreams: z.array(upstreamSchema) }),
)

const drainSchema = named(
  'Drain',
  z.strictObject({
    upstream: z.string(),
    endpoint: endpointSchema,
    closing: number.describe('How many tunnels are closed by this call.'),
    overSeconds: z.number().min(0),
  }),
)

export type EndpointJson = z.infer<typeof endpointSchema>
export type UpstreamJson = z.infer<typeof upstreamSchema>
export type UpstreamList = z.infer<typeof upstreamListSchema>
export type DrainAnswer = z.infer<typeof drainSchema>
export type RebalanceJson = z.infer<typeof rebalanceSchema>

export const listUpstreams = operation({
  id: 'listUpstreams',
  method: 'GET',
  path: '/api/upstreams',
  summary: 'Upstreams with their endpoints',
  query: {},
  options: {},
  answers: { 200: { description: 'All of them.', schema: upstreamListSchema } },
  problems: {},
  run(desk) {
    const counts = tunnelCounts(desk.parts)
    const upstreams = [...desk.parts.pools().values()].map((pool) =>
      upstreamJson(desk, pool, counts),
    )
    return ok({ upstreams } satisfies UpstreamList)
  },
})

const noSuchEndpoint = 'No endpoint has this id: GET /api/upstreams lists them.'

export const drainEndpoint = operation({
  id: 'drainEndpoint',
  method: 'POST',
  path: '/api/endpoints/{id}/drain',
  summary: 'Gives an endpoint no new tunnels, and closes those that it has if that is wanted',
  named: 'Of the endpoint, from GET /api/upstreams.',
  query: {},
  options: {
    close: flag().prefault(false).describe('Its open tunnels are closed as well.'),
    over: duration({ zero: true })
      .prefault('0s')
      .describe('With close: evenly over this time, in place of all at once.'),
  },
  answers: { 200: { description: 'It gets no new tunnels.', schema: drainSchema } },
  problems: { 404: noSuchEndpoint },
  run(desk, { id, options, by }) {
    const place = findEndpoint(desk.parts, id)
    if (place === undefined) return problem(404, noSuchEndpoint)
    const { close, over: overMs } = options
    if (!close && overMs > 0) return problem(400, 'over is for tunnels that are closed: add close.')
    const { pool, endpoint } = place
    const { report, tunnels } = desk.parts
    if (pool.drain(id)) report.endpointDrained(pool.name, endpoint, true)
    const closing = close ? desk.parts.closings.drain(tunnels, pool.name, endpoint, overMs) : 0
    const { url } = endpoint
    report.adminAction({
      action: 'drain',
      by,
      upstream: pool.name,
      endpoint: url,
      tunnels: closing,
    })
    return drainAnswer(desk, place, closing, overMs)
  },
})

export const enableEndpoint = operation({
  id: 'enableEndpoint',
  method: 'POST',
  path: '/api/endpoints/{id}/enable',
  summary: 'Gives an endpoint new tunnels again, and closes no more of those that it has',
  named: 'Of the endpoint, from GET /api/upstreams.',
  query: {},
  options: {},
  answers: { 200: { description: 'It gets its share again.', schema: drainSchema } },
  problems: { 404: noSuchEndpoint },
  run(desk, { id, by }) {
    const place = findEndpoint(desk.parts, id)
    if (place === undefined) return problem(404, noSuchEndpoint)
    const { pool, endpoint } = place
    const { report } = desk.parts
    desk.parts.closings.stopDrain(id)
    if (pool.enable(id)) report.endpointDrained(pool.name, endpoint, false)
    const { url } = endpoint
    report.adminAction({ action: 'enable', by, upstream: pool.name, endpoint: url, tunnels: 0 })
    return drainAnswer(desk, place, 0, 0)
  },
})

const noSuchUpstream = 'No upstream has this name.'

export const startRebalance = operation({
  id: 'startRebalance',
  method: 'POST',
  path: '/api/upstreams/{name}/rebalance',
  summary:
    'Closes tunnels of endpoints that have more than their share, so that clients come back to others',
  named: 'Of the upstream.',
  query: {},
  options: {
    rate: count(1, 10_000)
      .optional()
      .describe("Tunnels closed a second at most; the config's, else 5."),
    spread: percentage()
      .optional()
      .describe("How far above its share an endpoint may be, such as 10%; the config's, else 10%."),
  },
  answers: { 202: { description: 'The job runs.', schema: rebalanceSchema } },
  problems: {
    404: noSuchUpstream,
    409: 'It balances by hash: clients would come back to where they were.',
  },
  run({ parts }, { id: name, options, by }) {
    const upstream = parts.config().upstreams.get(name)
    if (upstream === undefined) return upstreamNone(parts, name)
    const { rate, spread } = { ...DEFAULTS, ...upstream.rebalance, ...given(options) }
    try {
      const job = parts.rebalancer.start(name, { rate, spread })
      parts.report.adminAction({ action: 'rebalance', by, upstream: name, tunnels: 0 })
      return accepted(rebalanceJson(name, job))
    } catch (error) {
      if (!(error instanceof NoRebalance)) throw error
      return problem(409, `${error.message}.`)
    }
  },
})

export const readRebalance = operation({
  id: 'readRebalance',
  method: 'GET',
  path: '/api/upstreams/{name}/rebalance',
  summary: 'The rebalance job of an upstream that runs, or the last one',
  named: 'Of the upstream.',
  query: {},
  options: {},
  answers: { 200: { description: 'The job.', schema: rebalanceSchema } },
  problems: { 404: `${noSuchUpstream} Or it was not rebalanced yet.` },
  run({ parts }, { id: name }) {
    if (!parts.pools().has(name)) return upstreamNone(parts, name)
    const job = parts.rebalancer.get(name)
    return job === undefined
      ? problem(404, `${name} was not rebalanced yet.`)
      : ok(rebalanceJson(name, job))
  },
})

export const stopRebalance = operation({
  id: 'stopRebalance',
  method: 'DELETE',
  path: '/api/upstreams/{name}/rebalance',
  summary: 'Stops the rebalance job of an upstream',
  named: 'Of the upstream.',
  query: {},
  options: {},
  answers: { 200: { description: 'The job, which is stopped.', schema: rebalanceSchema } },
  problems: { 404: `${noSuchUpstream} Or no job runs.` },
  run({ parts }, { id: name, by }) {
    if (!parts.pools().has(name)) return upstreamNone(parts, name)
    const isStopped = parts.rebalancer.stop(name)
    const job = parts.rebalancer.get(name)
    if (!isStopped || job === undefined) return problem(404, `${name} is not being rebalanced.`)
    parts.report.adminAction({ action: 'rebalance stop', by, upstream: name, tunnels: 0 })
    return ok(rebalanceJson(name, job))
  },
})

/** As the config's where it has `rebalance`. */
const DEFAULTS = { rate: 5, spread: 0.1 }

function given(options: { rate: number | undefined; spread: number | undefined }) {
  const { rate, spread } = options
  return {
    ...(rate === undefined ? {} : { rate }),
    ...(spread === undefined ? {} : { spread }),
  }
}

function upstreamNone(parts: ApiParts, name: string): Answer {
  const meant = nearest(name, [...parts.pools().keys()])
  return problem(404, `${noSuchUpstream}${meant === undefined ? '' : ` Did you mean ${meant}?`}`)
}

interface Place {
  readonly pool: Pool
  readonly endpoint: Endpoint
}

function findEndpoint(parts: ApiParts, id: string): Place | undefined {
  for (const pool of parts.pools().values()) {
    const endpoint = pool.endpoints.find((one) => one.id === id)
    if (endpoint !== undefined) return { pool, endpoint }
  }
  return undefined
}

function drainAnswer(desk: Desk, { pool, endpoint }: Place, closing: number, overMs: number) {
  const tunnels = tunnelCounts(desk.parts).get(endpoint.id) ?? 0
  const answer: DrainAnswer = {
    upstream: pool.name,
    endpoint: endpointJson(desk, endpoint, tunnels),
    closing,
    overSeconds: overMs / 1000,
  }
  return ok(answer)
}

function upstreamJson(desk: Desk, pool: Pool, counts: ReadonlyMap<string, number>): UpstreamJson {
  const endpoints = pool.endpoints.map((endpoint) =>
    endpointJson(desk, endpoint, counts.get(endpoint.id) ?? 0),
  )
  const job = desk.parts.rebalancer.get(pool.name)
  return {
    name: pool.name,
    balance: desk.parts.config().upstreams.get(pool.name)?.balance.policy ?? 'least-tunnels',
    tunnels: endpoints.reduce((sum, { tunnels }) => sum + tunnels, 0),
    endpoints,
    rebalance: job === undefined ? null : rebalanceJson(pool.name, job),
  }
}

function endpointJson({ parts }: Desk, endpoint: Endpoint, tunnels: number): EndpointJson {
  const { id, url, up, draining, weight, inUse } = endpoint
  return { id, url, up, draining, closing: parts.closings.isDraining(id), weight, tunnels, inUse }
}

/** By the ids of their endpoints. */
function tunnelCounts({ tunnels }: ApiParts): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { endpoint } of tunnels) counts.set(endpoint.id, (counts.get(endpoint.id) ?? 0) + 1)
  return counts
}

function rebalanceJson(upstream: string, job: RebalanceJob): RebalanceJson {
  const { state, rate, spread, startedAtMs, closed } = job
  const startedAt = new Date(startedAtMs).toISOString()
  return { upstream, state, rate, spread, startedAt, closed }
}
