/** Which tunnels are meant, in which order, and which part of them. */

import { setImmediate as turn } from 'node:timers/promises'
import type { z } from 'zod'
import { addressBlock } from '../config/network.ts'
import { choice, duration, text } from '../config/scalars.ts'
import { addressSet } from '../request/address-set.ts'
import type { RunningTunnel } from '../tunnels/tunnel.ts'
import type { Values } from './parameters.ts'
import type { Rates } from './rates.ts'
import { idleMs } from './tunnel-json.ts'

/** Between two turns of the event loop: other work shall not wait for a list of a hundred thousand. */
const TUNNELS_A_TURN = 2000

const clientMessage =
  'expected an IP address, a block of them or unix, such as 10.0.0.0/8, 192.0.2.7, ::1 or unix'

export const filterShape = {
  route: text('the name of a route').optional().describe('Of this route.'),
  upstream: text('the name of an upstream').optional().describe('Of this upstream.'),
  endpoint: text('the URL or id of an endpoint')
    .optional()
    .describe('At the endpoint with this URL or id.'),
  user: text('a user').optional().describe('Of this user, as the checks named him.'),
  client: addressBlock(clientMessage, /^(?:unix|[0-9A-Fa-f:.]+(?:\/\d{1,3})?)$/)
    .optional()
    .describe('Of clients with this address, or in this block; unix for those on unix sockets.'),
  protocol: text('the token of an upgrade')
    .optional()
    .describe('Of this protocol, such as websocket.'),
  minAge: duration({ zero: true }).optional().describe('Open for at least so long.'),
  maxAge: duration({ zero: true }).optional().describe('Open for at most so long.'),
  minIdle: duration({ zero: true }).optional().describe('Without a byte for at least so long.'),
}

export type TunnelFilter = Values<typeof filterShape>

export const sortSchema = choice(['age', 'bytes', 'idle', 'rate'])

export type Sort = z.output<typeof sortSchema>

/** Whether anything is asked of tunnels. */
export function isFilter(filter: TunnelFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined)
}

/** The open tunnels that a filter means, in the order in which they were opened. */
export async function select(
  tunnels: Iterable<RunningTunnel>,
  filter: TunnelFilter,
): Promise<RunningTunnel[]> {
  const isMeant = matcher(filter, Date.now())
  const selected: RunningTunnel[] = []
  let looked = 0
  for (const tunnel of tunnels) {
    looked += 1
    if (looked % TUNNELS_A_TURN === 0) await turn()
    if (isMeant(tunnel)) selected.push(tunnel)
  }
  return selected
}

function matcher(filter: TunnelFilter, nowMs: number): (tunnel: RunningTunnel) => boolean {
  const { route, upstream, endpoint, user, client, minAge = -Infinity, maxAge = Infinity } = filter
  const { minIdle } = filter
  const protocol = filter.protocol?.toLowerCase()
  const clients = client === undefined ? undefined : addressSet([client])
  return ({ reported, parts, endpoint: at, openedAtMs, tunnel }) => {
    const ageMs = nowMs - openedAtMs
    return (
      (route === undefined || reported.route === route) &&
      (upstream === undefined || parts.pool.name === upstream) &&
      (endpoint === undefined || at.url === endpoint || at.id === endpoint) &&
      (user === undefined || reported.user === user) &&
      (protocol === undefined || reported.protocol === protocol) &&
      (clients === undefined || clients.has(reported.clientIp)) &&
      ageMs >= minAge &&
      ageMs <= maxAge &&
      (minIdle === undefined || idleMs(tunnel.read()) >= minIdle)
    )
  }
}

/** The oldest, largest, longest idle or fastest one first. `selected` is in the order of age. */
export async function sorted(
  selected: readonly RunningTunnel[],
  by: Sort,
  rates: Rates,
): Promise<readonly RunningTunnel[]> {
  if (by === 'age') return selected
  const nowMs = Date.now()
  const keyOf = keys(rates, nowMs)[by]
  const keyed: { tunnel: RunningTunnel; key: number }[] = []
  for (const tunnel of selected) {
    keyed.push({ tunnel, key: keyOf(tunnel) })
    if (keyed.length % TUNNELS_A_TURN === 0) await turn()
  }
  return keyed.toSorted((one, other) => other.key - one.key).map(({ tunnel }) => tunnel)
}

function keys(
  rates: Rates,
  nowMs: number,
): Readonly<Record<Exclude<Sort, 'age'>, (running: RunningTunnel) => number>> {
  return {
    bytes: ({ tunnel }) => tunnel.bytesUp + tunnel.bytesDown,
    idle: ({ tunnel }) => idleMs(tunnel.read()),
    rate: (running) => {
      const { rate } = rates.look(running, nowMs)
      return rate.bytesUp + rate.bytesDown
    },
  }
}
