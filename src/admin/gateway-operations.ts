/** Calls about the gateway as a whole: its routes, its config, reading the config again. */

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { named } from './schemas.ts'
import type { RouteConfig } from '../config/config.ts'
import { readRegularFileAsync } from '../config/read-file.ts'
import { flag } from '../config/scalars.ts'
import { ok, operation } from './operation.ts'
import { problem } from './problem.ts'

const number = z.int().min(0)
const limit = z.int().min(1).nullable().describe('null for no limit.')

const routeSchema = named(
  'Route',
  z.strictObject({
    name: z.string(),
    upstream: z.string(),
    upgrade: z.union([z.literal('any'), z.array(z.string())]).describe('The tokens it allows.'),
    http: z.boolean().describe('Plain requests are forwarded too.'),
    tunnels: number.describe('Open ones.'),
    limits: z.strictObject({
      tunnels: limit,
      tunnelsPerClient: limit,
      handshakesPerSecond: limit,
      requestsPerSecond: limit,
    }),
  }),
)

const routeListSchema = named(
  'RouteList',
  z.strictObject({
    routes: z
      .array(routeSchema)
      .describe('In the order of the config: the first that matches wins.'),
  }),
)

const configSchema = named(
  'Config',
  z.strictObject({
    file: z.string().describe('Its absolute path.'),
    config: z.record(z.string(), z.unknown()).describe('As the gateway uses it, secrets masked.'),
  }),
)

const reloadSchema = named(
  'Reload',
  z.strictObject({
    ok: z.boolean(),
    dryRun: z.boolean(),
    file: z.string().describe('Its absolute path.'),
    sha256: z
      .string()
      .nullable()
      .describe('Of the bytes of that file; null where it cannot be read.'),
    changes: z.array(z.string()).describe('What differs from the config before: a line each.'),
    needsRestart: z.array(z.string()).describe('Keys whose change takes effect at the next start.'),
    closing: number.describe(
      'Tunnels that the file has no place for, and that are closed therefore.',
    ),
    closingByRoute: z.record(z.string(), number).describe('The same by their routes.'),
    kept: number.describe('Tunnels that it has no place for, and that their route keeps.'),
  }),
)

export type RouteJson = z.infer<typeof routeSchema>
export type RouteList = z.infer<typeof routeListSchema>
export type ReloadAnswer = z.infer<typeof reloadSchema>

export const listRoutes = operation({
  id: 'listRoutes',
  method: 'GET',
  path: '/api/routes',
  summary: 'Routes with their limits and how many tunnels they have',
  query: {},
  options: {},
  answers: { 200: { description: 'All of them.', schema: routeListSchema } },
  problems: {},
  run({ parts }) {
    const counts = new Map<string, number>()
    for (const { route } of parts.tunnels) counts.set(route, (counts.get(route) ?? 0) + 1)
    const routes = parts.config().routes.map((route) => routeJson(route, counts))
    return ok({ routes } satisfies RouteList)
  },
})

export const readConfig = operation({
  id: 'readConfig',
  method: 'GET',
  path: '/api/config',
  summary: 'The config in force, with its secrets masked',
  query: {},
  options: {},
  answers: { 200: { description: 'The config.', schema: configSchema } },
  problems: {},
  run({ parts }) {
    return ok({ file: parts.config().file, config: parts.describeConfig() })
  },
})

/** The same under two paths: /reload is what many programs have. */
export const reloads = ['/api/reload', '/reload'].map((path, index) =>
  operation({
    id: ['reload', 'reloadShort'][index] as string,
    method: 'POST',
    path,
    summary: 'Reads the config file again and takes it into use',
    query: {
      dryRun: flag().prefault(false).describe('true only says what would change.'),
    },
    options: {},
    answers: { 200: { description: 'It is in use, or could be.', schema: reloadSchema } },
    problems: { 422: 'The file is wrong, or cannot be taken: everything is as before.' },
    async run({ parts }, { query: { dryRun }, by }) {
      const { file } = parts.config()
      const sha256 = await hashOf(file)
      if (!dryRun) parts.report.adminAction({ action: 'reload', by, tunnels: 0 })
      const result = await parts.reload({ dryRun })
      const { problems } = result
      if (!result.ok) return problem(422, refusal(file, dryRun, problems), { problems })
      const { changes, needsRestart, closing, closingByRoute, kept } = result
      const answer: ReloadAnswer = {
        ok: true,
        dryRun,
        file,
        sha256,
        changes: [...changes],
        needsRestart: [...needsRestart],
        closing,
        closingByRoute,
        kept,
      }
      return ok(answer)
    },
  }),
)

/** Not every problem is the file's: an address may be taken, or the gateway be shutting down. */
function refusal(file: string, dryRun: boolean, problems: readonly string[]): string {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  return dryRun
    ? `${file} would not be taken: ${count}.`
    : `${file} is not taken: ${count}. The config before stays in use.`
}

async function hashOf(file: string): Promise<string | null> {
  try {
    return createHash('sha256')
      .update(await readRegularFileAsync(file))
      .digest('hex')
  } catch {
    return null
  }
}

function routeJson(route: RouteConfig, counts: ReadonlyMap<string, number>): RouteJson {
  const { name, upstream, upgrade, http, limits } = route
  return {
    name,
    upstream,
    upgrade: upgrade === 'any' ? upgrade : [...upgrade],
    http,
    tunnels: counts.get(name) ?? 0,
    limits: {
      tunnels: finite(limits.tunnels),
      tunnelsPerClient: finite(limits.tunnelsPerClient),
      handshakesPerSecond: finite(limits.handshakesPerSecond),
      requestsPerSecond: finite(limits.requestsPerSecond),
    },
  }
}

/** JSON knows no infinity. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
