import type { RouteConfig } from '../config/config.ts'

/** A route that is ready to match. */
export interface Route {
  readonly config: RouteConfig
}
