/**
 * What a new config means for the tunnels that are open. One whose route, endpoint and credentials are still there goes on
 * under the new parts and does not notice. One that has no place any more is closed, unless its route says `onReload: keep`.
 */

import { grantsUnder } from '../auth/standing.ts'
import type { Grant } from '../auth/grant.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import type { RouteConfig } from '../config/config.ts'
import type { RouteParts } from '../plane.ts'
import type { Work } from '../slices.ts'
import { pace } from './pace.ts'
import type { RunningTunnel } from './tunnel.ts'

/** What is known of the new config's routes. */
export interface NewRoutes {
  partsLike(route: RouteConfig): RouteParts | undefined
}

export interface Survey {
  /** Tunnels that are to be closed, by the name of their route. */
  readonly closing: ReadonlyMap<string, number>
  /** Those that have no place either, and whose route keeps them. */
  readonly kept: number
}

/** Says what `Reconciler.reconcile` would do. */
export function* survey(tunnels: Iterable<RunningTunnel>, routes: NewRoutes): Work<Survey> {
  const closing = new Map<string, number>()
  let kept = 0
  for (const tunnel of tunnels) {
    if (tunnel.isEnding) continue
    const { kind } = fateOf(tunnel, routes)
    if (kind === 'close') closing.set(tunnel.route, (closing.get(tunnel.route) ?? 0) + 1)
    if (kind === 'keep') kept += 1
    yield
  }
  return { closing, kept }
}

/** Closes the tunnels that reloads have left without a place. */
export class Reconciler {
  /** Of each reload, those that are still to be told to end. */
  readonly #batches = new Set<Set<RunningTunnel>>()
  readonly #over = new AbortController()

  /** For a tunnel whose handshake has begun under an older config. */
  settle(tunnel: RunningTunnel, routes: NewRoutes): void {
    if (settle(tunnel, routes) === 'close') tunnel.end('gateway', 'reload')
  }

  /**
   * Tunnels that have a place in `routes` are moved there; the others are closed evenly over `overMs`. One that an earlier
   * reload had no place for, and this one has, stays. Tunnels may come and go meanwhile.
   */
  *reconcile(tunnels: Iterable<RunningTunnel>, routes: NewRoutes, overMs: number): Work<Survey> {
    const closing = new Map<string, number>()
    const batch = new Set<RunningTunnel>()
    let kept = 0
    for (const tunnel of tunnels) {
      if (tunnel.isEnding) continue
      const kind = settle(tunnel, routes)
      if (kind === 'close') closing.set(tunnel.route, (closing.get(tunnel.route) ?? 0) + 1)
      if (kind === 'keep') kept += 1
      if (kind !== 'close') this.#spare(tunnel)
      else if (!this.#isClosing(tunnel)) batch.add(tunnel)
      yield
    }
    if (batch.size > 0) void this.#close(batch, overMs)
    return { closing, kept }
  }

  /** Leaves everything to who ends the gateway. */
  stop(): void {
    this.#over.abort()
  }

  async #close(batch: Set<RunningTunnel>, overMs: number): Promise<void> {
    this.#batches.add(batch)
    const end = (tunnel: RunningTunnel): void => {
      // It may have been spared since the batch was looked through.
      if (batch.delete(tunnel)) tunnel.end('gateway', 'reload')
    }
    await pace(batch, { overMs, end, signal: this.#over.signal })
    this.#batches.delete(batch)
  }

  #isClosing(tunnel: RunningTunnel): boolean {
    for (const batch of this.#batches) if (batch.has(tunnel)) return true
    return false
  }

  #spare(tunnel: RunningTunnel): void {
    for (const batch of this.#batches) batch.delete(tunnel)
  }
}

/** Moves the tunnel to its new parts, where it has some. */
function settle(tunnel: RunningTunnel, routes: NewRoutes): Fate['kind'] {
  const fate = fateOf(tunnel, routes)
  if (fate.parts !== undefined) {
    const { parts, endpoint = tunnel.endpoint, grants = tunnel.grants } = fate
    tunnel.adopt(parts, endpoint, grants)
  }
  return fate.kind
}

/** `parts`, `endpoint` and `grants` are the new ones; undefined where there are none. */
interface Fate {
  readonly kind: 'stay' | 'close' | 'keep'
  readonly parts: RouteParts | undefined
  readonly endpoint?: Endpoint | undefined
  readonly grants?: readonly Grant[] | undefined
}

function fateOf(tunnel: RunningTunnel, routes: NewRoutes): Fate {
  const parts = routes.partsLike(tunnel.parts.config)
  if (parts === undefined) return { kind: tunnel.parts.config.onReload, parts }
  const endpoint = parts.pool.endpoints.find(({ url }) => url === tunnel.endpoint.url)
  const grants = grantsUnder(parts.policy, {
    grants: tunnel.grants,
    clientIp: tunnel.reported.clientIp,
    origin: tunnel.origin,
  })
  const stays = endpoint !== undefined && grants !== undefined
  return { kind: stays ? 'stay' : parts.config.onReload, parts, endpoint, grants }
}
