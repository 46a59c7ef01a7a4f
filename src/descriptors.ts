/** Whether this process may have the descriptors that the limits of its config promise to clients. */

import { readFileSync } from 'node:fs'
import type { Config } from './config/config.ts'

/** A client's connection, and the one to its endpoint. */
const PER_CLIENT = 2

/** The admin address, idle connections to endpoints and auth servers, files, and what Node and the relay need. */
const OTHERS = 256

/**
 * How many descriptors are needed when as many clients are there as may be: by the `connections` of all listeners, or where
 * one has no limit by the `tunnels` of all routes. Undefined where no limit says anything.
 */
export function descriptorsNeeded({ listeners, routes }: Config): number | undefined {
  const connections = listeners.map(({ connectionsMax }) => connectionsMax)
  const bounded = sum(connections.filter((max) => max !== Infinity))
  const tunnels = sum(routes.map(({ limits }) => limits.tunnels))
  const isOpen = connections.includes(Infinity)
  const clients = isOpen && tunnels !== Infinity ? Math.max(bounded, tunnels) : bounded
  return clients === 0 ? undefined : clients * PER_CLIENT + OTHERS
}

/** What `ulimit -n` says: Node raises the soft limit to the hard one at its start. Undefined where the system does not tell. */
export function descriptorLimit(): number | undefined {
  try {
    return readLimit(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    return undefined
  }
}

/** What is left for the admin address, files and name lookups. */
const SPARED = 32

/** For how long a limit that was read is taken for that of now. */
const KNOWN_MS = 1000

let known: { readonly below: number | undefined; readonly atMs: number } | undefined

/**
 * Clients and endpoints get descriptors below this number alone: probes and metrics are answered even when those are all in
 * use. The kernel gives the lowest number that is free. Undefined where the limit is not known.
 */
export function clientDescriptors(): number | undefined {
  const nowMs = performance.now()
  if (known === undefined || nowMs >= known.atMs + KNOWN_MS) {
    const limit = descriptorLimit()
    // Without a descriptor it cannot be read.
    known = { below: limit === undefined ? known?.below : belowSpared(limit), atMs: nowMs }
  }
  return known.below
}

export function belowSpared(limit: number): number | undefined {
  if (limit === Infinity) return undefined
  return limit - Math.min(SPARED, Math.floor(limit / 8))
}

/** The soft limit in the text of /proc/PID/limits. */
export function readLimit(limits: string): number | undefined {
  const [, soft] = /^Max open files +(\d+|unlimited) /m.exec(limits) ?? []
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Infinity : Number(soft)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
