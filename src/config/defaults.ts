/** `defaults` put into the routes: what a route says itself goes first. */

import { route } from './route-schema.ts'
import type { RouteEntry } from './route-schema.ts'
import type { ConfigInput } from './schema.ts'

type RouteInput = ConfigInput['routes'][number]

/** Every route of a valid file with what it has from `defaults`, in the order of the file. */
export function routesWithDefaults({ defaults = {}, routes }: ConfigInput): RouteEntry[] {
  return routes.map((entry) => route.parse(merged(defaults, entry)))
}

/** Timeouts, limits and close key by key, all else as a whole. */
function merged(defaults: NonNullable<ConfigInput['defaults']>, entry: RouteInput): RouteInput {
  return {
    ...defaults,
    ...entry,
    limits: { ...defaults.limits, ...entry.limits },
    timeouts: { ...defaults.timeouts, ...entry.timeouts },
    close: { ...defaults.close, ...entry.close },
  }
}
