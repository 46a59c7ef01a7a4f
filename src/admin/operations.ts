/** Every call of the API. */

import { z } from 'zod'
import { named } from './schemas.ts'
import { listRoutes, readConfig, reloads } from './gateway-operations.ts'
import { ok, operation, type Operation } from './operation.ts'
import { openApi } from './openapi.ts'
import { closeTunnel, closeTunnels, listTunnels, readTunnel } from './tunnel-operations.ts'
import {
  drainEndpoint,
  enableEndpoint,
  listUpstreams,
  readRebalance,
  startRebalance,
  stopRebalance,
} from './upstream-operations.ts'

const indexSchema = named(
  'Index',
  z.strictObject({
    calls: z.array(z.strictObject({ method: z.string(), path: z.string(), summary: z.string() })),
  }),
)

const index = operation({
  id: 'index',
  method: 'GET',
  path: '/api',
  summary: 'All calls',
  query: {},
  options: {},
  answers: { 200: { description: 'All of them.', schema: indexSchema } },
  problems: {},
  run: () =>
    ok({ calls: operations.map(({ method, path, summary }) => ({ method, path, summary })) }),
})

const document = operation({
  id: 'openApi',
  method: 'GET',
  path: '/api/openapi.json',
  summary: 'The OpenAPI document',
  query: {},
  options: {},
  answers: {
    200: { description: 'OpenAPI 3.1.', schema: z.record(z.string(), z.unknown()) },
  },
  problems: {},
  run: () => ok(apiDocument()),
})

export const operations: readonly Operation[] = [
  index,
  document,
  listTunnels,
  closeTunnels,
  readTunnel,
  closeTunnel,
  listRoutes,
  listUpstreams,
  drainEndpoint,
  enableEndpoint,
  startRebalance,
  readRebalance,
  stopRebalance,
  readConfig,
  ...reloads,
]

let made: Readonly<Record<string, unknown>> | undefined

/** The OpenAPI document of these. */
export function apiDocument(): Readonly<Record<string, unknown>> {
  made ??= openApi(operations)
  return made
}
