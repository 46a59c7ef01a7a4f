/** Empties the gateway before it stops, or one endpoint before it goes: evenly over a time. */

import { TIMER_MAX_MS } from '../timers.ts'
import { pace, type PaceProgress } from './pace.ts'
import type { Registry } from './registry.ts'
import type { RunningTunnel } from './tunnel.ts'

export interface DrainOptions {
  /** After this many milliseconds every tunnel is told to end; `Infinity` for never. */
  readonly drainMs: number
  /** They are told so evenly over that time; else all at its end. */
  readonly spread: boolean
  /** Fulfilled when no handshake is in progress any more: until then tunnels may join. */
  readonly settled: Promise<unknown>
  /** Called when tunnels begin to be ended, and every five seconds from then on. */
  readonly onProgress: (progress: PaceProgress) => void
}

/**
 * Ends all tunnels, and waits for them. Fulfilled when none is open and none can come: `drainMs` later, and what a peer may
 * take to answer a Close frame, or sooner. Tunnels that end by themselves are waited for no longer than for the others.
 */
export async function drain(registry: Registry, options: DrainOptions): Promise<void> {
  const { drainMs, spread, settled, onProgress } = options
  const over = new AbortController()
  const { signal } = over
  const deadline =
    drainMs === Infinity
      ? undefined
      : setTimeout(() => over.abort(), Math.min(drainMs, TIMER_MAX_MS))
  const emptied = settled.then(() => registry.empty())
  const waited = Promise.race([emptied, aborted(signal)]).finally(() => {
    clearTimeout(deadline)
    over.abort()
  })
  const isEven = spread && drainMs !== Infinity
  await Promise.all([waited, isEven ? endEvenly(registry, { ...options, signal }) : undefined])
  await pace(registry, { overMs: 0, end: endByDrain, ...(isEven ? {} : { onProgress }) })
  await registry.empty()
}

async function endEvenly(
  registry: Registry,
  { drainMs, settled, onProgress, signal }: DrainOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const endMs = performance.now() + drainMs
  await pace(registry, { overMs: drainMs, end: endByDrain, onProgress, signal })
  await Promise.race([settled, aborted(signal)])
  // What a handshake became that took longer than all the tunnels.
  const overMs = Math.max(0, endMs - performance.now())
  await pace(registry, { overMs, end: endByDrain, onProgress, signal })
}

function endByDrain(tunnel: RunningTunnel): void {
  tunnel.end('gateway', 'drain')
}

function endByOperator(tunnel: RunningTunnel): void {
  tunnel.end('admin', 'drain')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

export interface EndpointDrainOptions {
  readonly upstream: string
  /** Its URL. */
  readonly endpoint: string
  /** Milliseconds from the first tunnel to the last; 0 for all at once. */
  readonly overMs: number
  /** Called when the first tunnel is ended, and every five seconds from then on. */
  readonly onProgress?: (progress: PaceProgress) => void
}

/** The tunnels of an endpoint on their way out. */
export interface EndpointDrain {
  readonly upstream: string
  readonly endpoint: string
  /** How many were open when it began. */
  readonly of: number
  /** Fulfilled when each was told to end, or when it was stopped. */
  readonly done: Promise<void>
  /** Leaves those alone that were not told to end yet. */
  stop(): void
}

/**
 * Ends the tunnels of one endpoint evenly over a time, as an operator wants it. That no new ones come is up to
 * `Pool.drain`; those that come all the same, from handshakes in progress, join in.
 */
export function drainEndpoint(
  registry: Registry,
  { upstream, endpoint, overMs, ...hearing }: EndpointDrainOptions,
): EndpointDrain {
  const tunnels = {
    *[Symbol.iterator](): Generator<RunningTunnel> {
      for (const tunnel of registry) {
        // Not by what was reported at its start: a reload may have given its route another upstream.
        if (tunnel.parts.pool.name === upstream && tunnel.endpoint.url === endpoint) yield tunnel
      }
    },
  }
  let of = 0
  for (const tunnel of tunnels) if (!tunnel.isEnding) of += 1
  const over = new AbortController()
  const done = pace(tunnels, { ...hearing, overMs, end: endByOperator, signal: over.signal })
  return { upstream, endpoint, of, done, stop: () => over.abort() }
}
