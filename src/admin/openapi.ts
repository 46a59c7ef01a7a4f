/** The OpenAPI 3.1 document, out of the same operations that are called. */

import { z } from 'zod'
import { version } from '../report/version.ts'
import type { Operation } from './operation.ts'
import type { Shape } from './parameters.ts'
import { problemSchema } from './problem.ts'

type Json = Readonly<Record<string, unknown>>

/** What every call may be refused with, whatever it does. */
const REFUSALS: Readonly<Record<number, string>> = {
  400: 'A parameter is unknown or wrong.',
  401: 'The token is missing or wrong.',
  403: 'Another machine, and no token is configured; or a page of another origin.',
  421: 'Host is none of the names of this address.',
  500: 'The gateway is at fault.',
}

/** Of calls that take a body. */
const BODY_REFUSALS: Readonly<Record<number, string>> = {
  413: 'The body is longer than 16 KiB.',
  415: 'The body is not application/json.',
}

/** Throws when two operations have the same place or id. */
export function openApi(operations: readonly Operation[]): Json {
  const paths: Record<string, Record<string, Json>> = {}
  const ids = new Set<string>()
  for (const operation of operations) {
    const path = (paths[operation.path] ??= {})
    const method = operation.method.toLowerCase()
    if (method in path || ids.has(operation.id)) throw new Error(`${operation.id} is there twice`)
    ids.add(operation.id)
    path[method] = operationJson(operation)
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'upgate admin API',
      version,
      description:
        'Sees and closes tunnels, empties endpoints, evens tunnels out, and reads the config again. On the address of admin.address, beside /metrics, /healthz and /readyz.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'http://127.0.0.1:9090', description: 'The default of admin.address.' }],
    // None at all is right where no admin.token is configured, on the machine itself.
    security: [{ token: [] }, {}],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'admin.token of the config.' },
      },
      schemas: { Problem: schemaJson(problemSchema, 'output') },
    },
  }
}

function operationJson(operation: Operation): Json {
  const { id, summary, path, named, query, options, answers, problems } = operation
  const hasBody = Object.keys(options).length > 0
  const name = /\{(\w+)\}/.exec(path)?.[1]
  const refusals = { ...REFUSALS, ...(hasBody ? BODY_REFUSALS : {}), ...problems }
  return {
    operationId: id,
    summary,
    parameters: [
      ...(name === undefined ? [] : [pathParameter(name, named ?? '')]),
      ...queryParameters(query),
      ...queryParameters(options),
    ],
    ...(hasBody ? { requestBody: bodyJson(options) } : {}),
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([status, { description, schema }]) => [
        status,
        { description, content: { 'application/json': { schema: schemaJson(schema, 'output') } } },
      ]),
      ...Object.entries(refusals).map(([status, description]) => [
        status,
        problemJson(description),
      ]),
    ]) as Json,
  }
}

function pathParameter(name: string, description: string): Json {
  return { name, in: 'path', required: true, description, schema: { type: 'string' } }
}

function queryParameters(shape: Shape): Json[] {
  return Object.entries(shape).map(([name, schema]) => {
    const { description, ...form } = schemaJson(schema, 'input')
    return { name, in: 'query', required: false, description, schema: form }
  })
}

function bodyJson(options: Shape): Json {
  const properties = Object.entries(options).map(([name, schema]) => [
    name,
    schemaJson(schema, 'input'),
  ])
  const schema = {
    type: 'object',
    properties: Object.fromEntries(properties) as Json,
    additionalProperties: false,
  }
  return {
    description: 'In place of the parameters of the same names.',
    required: false,
    content: { 'application/json': { schema } },
  }
}

function problemJson(description: string): Json {
  const schema = { $ref: '#/components/schemas/Problem' }
  return { description, content: { 'application/problem+json': { schema } } }
}

function schemaJson(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' })
  return json
}
