/** A tunnel as the API shows it. What is here goes to operators: no query string, no header, no token is among it. */

import { z } from 'zod'
import { named } from './schemas.ts'
import type { FrameCounts, TunnelReading } from '../relay/tunnel-end.ts'
import type { RunningTunnel } from '../tunnels/tunnel.ts'
import type { Rate, Rates } from './rates.ts'

const count = z.int().min(0)
const perSecond = z.number()

const frameCountsSchema = named(
  'FrameCounts',
  z.strictObject({
    text: count,
    binary: count,
    ping: count,
    pong: count,
    close: count,
    other: count.describe('Frames of opcodes that RFC 6455 keeps for later.'),
    blind: z
      .boolean()
      .describe('The peer broke the protocol: its frames are not followed any more.'),
  }),
)

export const tunnelSchema = named(
  'Tunnel',
  z.strictObject({
    id: z.string().describe('tunnelId in the log.'),
    requestId: z.string().describe('X-Request-Id of the request that opened it.'),
    route: z.string(),
    upstream: z.string(),
    endpoint: z.string().describe('Its URL in the config.'),
    endpointId: z.string(),
    client: z.string().describe('Its address; empty for one on a unix socket.'),
    user: z.string().nullable().describe('Who passed the checks; null where none was asked for.'),
    method: z.string(),
    host: z.string(),
    path: z.string().describe('Without the query.'),
    protocol: z.string().describe('The token of the upgrade.'),
    openedAt: z.iso.datetime(),
    ageSeconds: z.number().min(0),
    idleSeconds: z.number().min(0).describe('Since the last byte, either way.'),
    bytesUp: count.describe('From the client to the upstream.'),
    bytesDown: count.describe('From the upstream to the client.'),
    messages: z
      .strictObject({ up: frameCountsSchema, down: frameCountsSchema })
      .nullable()
      .describe('Whole messages and control frames; null where frames are not followed.'),
    closeCode: z
      .strictObject({ by: z.enum(['client', 'upstream', 'gateway', 'admin']), code: count })
      .nullable()
      .describe('Of the first Close frame that was seen.'),
    rates: z
      .strictObject({
        seconds: z.number().describe('The time they were measured over.'),
        bytesUp: perSecond,
        bytesDown: perSecond,
        messagesUp: perSecond.nullable(),
        messagesDown: perSecond.nullable(),
      })
      .describe(
        'A second, since the last look of anybody that is at least a second ago; at the first look the mean over its life.',
      ),
    firstByteMs: z
      .strictObject({ up: z.number().min(0).nullable(), down: z.number().min(0).nullable() })
      .describe('From the 101 to the first byte each way.'),
    ending: z.boolean().describe('It was told to end, and its peers have not all closed yet.'),
  }),
)

export type TunnelJson = z.infer<typeof tunnelSchema>

/** Looks at a tunnel where it is now (a reload may have given its route another upstream), which begins a new measurement of its rates. `nowMs` is of the wall clock. */
export function tunnelJson(running: RunningTunnel, rates: Rates, nowMs: number): TunnelJson {
  const { reported } = running
  const { reading, rate } = rates.look(running, nowMs)
  return {
    id: reported.tunnelId,
    requestId: reported.requestId,
    route: reported.route,
    upstream: running.parts.pool.name,
    endpoint: running.endpoint.url,
    endpointId: running.endpoint.id,
    client: reported.clientIp,
    user: reported.user ?? null,
    method: reported.method,
    host: reported.host,
    path: reported.path,
    protocol: reported.protocol,
    openedAt: new Date(running.openedAtMs).toISOString(),
    ageSeconds: rounded(Math.max(0, nowMs - running.openedAtMs) / 1000),
    idleSeconds: rounded(idleMs(reading) / 1000),
    bytesUp: reading.bytesUp,
    bytesDown: reading.bytesDown,
    messages: messagesJson(reading),
    closeCode: closeJson(reading),
    rates: ratesJson(rate),
    firstByteMs: {
      up: roundedOrNull(reading.firstUpMs),
      down: roundedOrNull(reading.firstDownMs),
    },
    ending: running.isEnding,
  }
}

/** Milliseconds since the last byte, either way. */
export function idleMs({ silentUpMs, silentDownMs }: TunnelReading): number {
  return Math.max(0, Math.min(silentUpMs, silentDownMs))
}

function messagesJson({ webSocket }: TunnelReading): TunnelJson['messages'] {
  return webSocket === undefined
    ? null
    : { up: countsJson(webSocket.up), down: countsJson(webSocket.down) }
}

function closeJson({ webSocket }: TunnelReading): TunnelJson['closeCode'] {
  const close = webSocket?.close
  return close === undefined ? null : { by: close.by, code: close.code }
}

/** Field by field: a relay may keep more of its own. */
function countsJson({ text, binary, ping, pong, close, other, blind }: FrameCounts) {
  return { text, binary, ping, pong, close, other, blind }
}

function ratesJson(rate: Rate): TunnelJson['rates'] {
  return {
    seconds: rounded(rate.seconds),
    bytesUp: rounded(rate.bytesUp),
    bytesDown: rounded(rate.bytesDown),
    messagesUp: roundedOrNull(rate.messagesUp),
    messagesDown: roundedOrNull(rate.messagesDown),
  }
}

/** Three decimals: nobody needs sixteen. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}

function roundedOrNull(value: number | undefined): number | null {
  return value === undefined ? null : rounded(value)
}
