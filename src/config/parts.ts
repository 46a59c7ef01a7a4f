/**
 * The parts of a configuration that are valid by themselves, with their paths. A mistake in one part does not hide the
 * mistakes between the others.
 */

import type { z } from 'zod'

import { authEntry } from './auth-schema.ts'
import type { AuthEntry } from './auth-schema.ts'
import { findingsOf, valueAt } from './issues.ts'
import { listener } from './listener-schema.ts'
import type { Listener } from './listener-schema.ts'
import type { Path } from './problem.ts'
import { route, routeSettings } from './route-schema.ts'
import type { RouteEntry, RouteSettings } from './route-schema.ts'
import { configSchema, upstream } from './schema.ts'
import type { Admin, Upstream } from './schema.ts'

export interface Part<Value> {
  readonly path: Path
  readonly value: Value
  /** False when keys that are wrong were left out of `value`: defaults then stand where something else was meant. */
  readonly isWhole: boolean
}

export interface Parts {
  readonly listeners: readonly Part<Listener>[]
  readonly admin: Part<Admin> | undefined
  readonly trustedProxies: Part<readonly string[]> | undefined
  readonly upstreams: readonly Part<Upstream>[]
  readonly auth: readonly Part<AuthEntry>[]
  readonly defaults: Part<RouteSettings> | undefined
  /** Without `defaults`: with what each route says itself. */
  readonly routes: readonly Part<RouteEntry>[]
  /** All names that are written, also those whose entry is not valid. */
  readonly upstreamNames: readonly string[]
  readonly authNames: readonly string[]
}

export function partsOf(raw: unknown): Parts {
  const listeners = configSchema.shape.listeners.safeParse(valueAt(raw, ['listeners']))
  return {
    listeners: listeners.success
      ? listeners.data.map((value, index) => ({
          path: ['listeners', index],
          value,
          isWhole: true,
        }))
      : partsBelow(raw, 'listeners', listener),
    admin: partAt(configSchema.shape.admin, raw, ['admin']),
    trustedProxies: partAt(configSchema.shape.trustedProxies, raw, ['trustedProxies']),
    upstreams: partsBelow(raw, 'upstreams', upstream),
    auth: partsBelow(raw, 'auth', authEntry),
    defaults: partAt(routeSettings, raw, ['defaults']),
    routes: partsBelow(raw, 'routes', route),
    upstreamNames: namesBelow(raw, 'upstreams'),
    authNames: namesBelow(raw, 'auth'),
  }
}

/** Every entry of the map or list at `key` that is valid. */
function partsBelow<Schema extends z.ZodType>(
  raw: unknown,
  key: string,
  schema: Schema,
): Part<z.output<Schema>>[] {
  const entries = valueAt(raw, [key])
  const steps = Array.isArray(entries) ? [...entries.keys()] : namesBelow(raw, key)
  return steps.flatMap((step) => partAt(schema, raw, [key, step]) ?? [])
}

/** The part at a path, if need be without the keys that are wrong; undefined when nothing is left then. */
function partAt<Schema extends z.ZodType>(
  schema: Schema,
  raw: unknown,
  path: Path,
): Part<z.output<Schema>> | undefined {
  const written = valueAt(raw, path)
  const whole = schema.safeParse(written)
  if (whole.success) return { path, value: whole.data, isWhole: true }
  if (typeof written !== 'object' || written === null) return undefined
  const rest = structuredClone(written)
  for (const finding of findingsOf(whole.error, written)) remove(rest, finding.path)
  const result = schema.safeParse(rest)
  return result.success ? { path, value: result.data, isWhole: false } : undefined
}

/** Removes the key at a path; for an item of a list the whole list, and for a key that is missing the map around it. */
function remove(from: object, path: Path): void {
  const firstIndex = path.findIndex((step) => typeof step === 'number')
  const keys = firstIndex === -1 ? path : path.slice(0, firstIndex)
  const target = valueAt(from, keys) === undefined ? keys.slice(0, -1) : keys
  const parent = valueAt(from, target.slice(0, -1))
  const last = target.at(-1)
  if (last !== undefined && typeof parent === 'object' && parent !== null) {
    Reflect.deleteProperty(parent, last)
  }
}

function namesBelow(raw: unknown, key: string): string[] {
  const entries = valueAt(raw, [key])
  return typeof entries === 'object' && entries !== null && !Array.isArray(entries)
    ? Object.keys(entries)
    : []
}
