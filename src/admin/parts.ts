/** What the API acts upon. `gateway.ts` puts it together. */

import type { Pool } from '../balance/pool.ts'
import type { Config } from '../config/config.ts'
import type { ReloadResult } from '../reload/result.ts'
import type { Report } from '../report/report.ts'
import type { Rebalancer } from '../tunnels/rebalance.ts'
import type { Registry } from '../tunnels/registry.ts'
import type { Closings } from './closings.ts'

export interface ApiParts {
  readonly tunnels: Registry
  /** The one in force. */
  config(): Config
  /** The same with its secrets masked, as plain values of JSON. */
  describeConfig(): Readonly<Record<string, unknown>>
  /** Of the config in force, by the names of their upstreams. */
  pools(): ReadonlyMap<string, Pool>
  /** Reads the config file again and takes it into use; a dry run only says what would change. */
  reload(options: { readonly dryRun: boolean }): Promise<ReloadResult>
  readonly rebalancer: Pick<Rebalancer, 'start' | 'get' | 'stop'>
  readonly closings: Closings
  readonly report: Pick<Report, 'adminAction' | 'adminFailed' | 'endpointDrained'>
}
