/** Calls that look at tunnels and close them. */

import { z } from 'zod'
import { named } from './schemas.ts'
import { closeCode, closeTextBytesMax } from '../config/close-schema.ts'
import { count, duration, fail, flag } from '../config/scalars.ts'
import type { AdminReport } from '../report/reported.ts'
import type { RunningTunnel } from '../tunnels/tunnel.ts'
import { accepted, ok, operation, type Call, type Desk } from './operation.ts'
import type { Shape, Values } from './parameters.ts'
import { problem, type Answer } from './problem.ts'
import { filterShape, isFilter, select, sorted, sortSchema } from './tunnel-filter.ts'
import { tunnelJson, tunnelSchema } from './tunnel-json.ts'

const LIMIT_MAX = 1000
const LIMIT_DEFAULT = 100
/** Far above what a process can hold open. */
const OFFSET_MAX = 100_000_000

const tunnelListSchema = named(
  'TunnelList',
  z.strictObject({
    tunnels: z.array(tunnelSchema),
    total: z.int().min(0).describe('How many the filter means, on this page or not.'),
    open: z.int().min(0).describe('How many are open in all.'),
    offset: z.int().min(0),
    limit: z.int().min(1),
    next: z.int().nullable().describe('The offset of the next page; null on the last one.'),
  }),
)

const closingSchema = named(
  'Closing',
  z.strictObject({
    matched: z.int().min(0).describe('How many tunnels were meant.'),
    closing: z.int().min(0).describe('Of these, the ones that are closed by this call.'),
    alreadyEnding: z.int().min(0).describe('Those that were ending before.'),
    overSeconds: z.number().min(0),
  }),
)

export type TunnelList = z.infer<typeof tunnelListSchema>
export type ClosingAnswer = z.infer<typeof closingSchema>

const reasonSchema = z
  .string({ error: 'expected a text' })
  .transform((value, context) =>
    Buffer.byteLength(value) <= closeTextBytesMax
      ? value
      : fail(context, `expected at most ${closeTextBytesMax} bytes of text`),
  )

const closingOptions = {
  code: z
    .union(closeCode, {
      error: 'expected 1000 to 1014 without 1004, 1005, 1006 and 1010, or 3000 to 4999',
    })
    .optional()
    .describe("Of the Close frame; else that of the route's close.kill."),
  reason: reasonSchema
    .optional()
    .describe("The text of the Close frame; else that of the route's close.kill."),
  over: duration({ zero: true })
    .prefault('0s')
    .describe('Closes them evenly over this time, in place of all at once.'),
} satisfies Shape

export const listTunnels = operation({
  id: 'listTunnels',
  method: 'GET',
  path: '/api/tunnels',
  summary: 'Open tunnels, a page of them',
  query: {
    ...filterShape,
    sort: sortSchema
      .prefault('age')
      .describe('The oldest, the one with most bytes, the longest idle or the fastest one first.'),
    limit: count(1, LIMIT_MAX).prefault(LIMIT_DEFAULT).describe('How many on a page.'),
    offset: count(0, OFFSET_MAX)
      .prefault(0)
      .describe('How many to leave out: next of the page before.'),
  },
  options: {},
  answers: { 200: { description: 'The page.', schema: tunnelListSchema } },
  problems: {},
  async run({ parts, rates }, { query }) {
    const { sort, limit, offset } = query
    const meant = await sorted(await select(parts.tunnels, query), sort, rates)
    const nowMs = Date.now()
    const page = meant.slice(offset, offset + limit)
    const list: TunnelList = {
      tunnels: page.map((tunnel) => tunnelJson(tunnel, rates, nowMs)),
      total: meant.length,
      open: parts.tunnels.size,
      offset,
      limit,
      next: offset + limit < meant.length ? offset + limit : null,
    }
    return ok(list)
  },
})

/** Of the beginning of an id. */
const ID_CHARS_MIN = 8

const noSuchTunnel = 'No tunnel with this id is open.'
const severalTunnels = 'The ids of several tunnels begin like this: give more of it.'
const tunnelProblems = { 404: noSuchTunnel, 409: severalTunnels }
const tunnelId = `tunnelId in the log, or the first ${ID_CHARS_MIN} characters of it or more.`

export const readTunnel = operation({
  id: 'readTunnel',
  method: 'GET',
  path: '/api/tunnels/{id}',
  summary: 'One open tunnel',
  named: tunnelId,
  query: {},
  options: {},
  answers: { 200: { description: 'The tunnel.', schema: tunnelSchema } },
  problems: tunnelProblems,
  run({ parts, rates }, { id }) {
    const found = find(parts.tunnels, id)
    return 'status' in found ? found : ok(tunnelJson(found, rates, Date.now()))
  },
})

const closingAnswers = {
  202: { description: 'They are being closed.', schema: closingSchema },
}

export const closeTunnel = operation({
  id: 'closeTunnel',
  method: 'DELETE',
  path: '/api/tunnels/{id}',
  summary: 'Closes a tunnel',
  named: tunnelId,
  query: {},
  options: closingOptions,
  answers: closingAnswers,
  problems: tunnelProblems,
  run(desk, call) {
    const found = find(desk.parts.tunnels, call.id)
    return 'status' in found
      ? found
      : close(desk, [found], { ...call, about: { tunnelId: found.id } })
  },
})

export const closeTunnels = operation({
  id: 'closeTunnels',
  method: 'DELETE',
  path: '/api/tunnels',
  summary: 'Closes all tunnels that a filter means',
  query: {
    ...filterShape,
    all: flag().prefault(false).describe('true in place of a filter: every tunnel there is.'),
  },
  options: closingOptions,
  answers: closingAnswers,
  problems: {},
  async run(desk, { query, options, by }) {
    const { all, ...filter } = query
    if (all === isFilter(filter)) {
      return problem(
        400,
        all
          ? 'all=true and a filter are one too many: leave one of them out.'
          : `Which tunnels? Give at least one of ${Object.keys(filterShape).join(', ')}, or all=true.`,
      )
    }
    const meant = await select(desk.parts.tunnels, filter)
    const { route, upstream, endpoint, user, client: clientIp } = filter
    const about = { route, upstream, endpoint, user, clientIp }
    return close(desk, meant, { options, by, about })
  },
})

interface ClosingCall extends Pick<Call<Shape, typeof closingOptions>, 'options' | 'by'> {
  /** What the log says of them. */
  readonly about: Partial<AdminReport>
}

function close({ parts }: Desk, meant: readonly RunningTunnel[], call: ClosingCall): Answer {
  const { options, by, about } = call
  const closing = meant.filter(({ isEnding }) => !isEnding)
  const { over: overMs } = options
  parts.report.adminAction({ ...about, action: 'close', by, tunnels: closing.length })
  parts.closings.start(closing, overMs, (tunnel) => kill(tunnel, options))
  const answer: ClosingAnswer = {
    matched: meant.length,
    closing: closing.length,
    alreadyEnding: meant.length - closing.length,
    overSeconds: overMs / 1000,
  }
  return accepted(answer)
}

function kill(tunnel: RunningTunnel, { code, reason }: Values<typeof closingOptions>): void {
  const frame = tunnel.policy.closeFrames.kill
  tunnel.end('admin', 'kill', { code: code ?? frame.code, text: reason ?? frame.text })
}

/** By its id, or by the beginning of it that a table shows; why there is none or more than one. */
function find(tunnels: Iterable<RunningTunnel>, id: string): RunningTunnel | Answer {
  let found: RunningTunnel | undefined
  for (const tunnel of tunnels) {
    if (tunnel.id === id) return tunnel
    if (id.length < ID_CHARS_MIN || !tunnel.id.startsWith(id)) continue
    if (found !== undefined) return problem(409, severalTunnels)
    found = tunnel
  }
  return found ?? problem(404, noSuchTunnel)
}
