/** The OpenAPI 3.1 document, out of the same operations that are called. */

import { z } from 'zod'
import { version } from '../report/version.ts'
import type { Operation } from './operation.ts'
import type { Shape } from './parameters.ts'
import { problemSchema } from './problem.ts'
import { namedSchemas } from './schemas.ts'

type Json = Readonly<Record<string, unknown>>

/** Why a call may be refused, whatever it does: the name in the document, and what it means. */
const REFUSALS: Readonly<Record<number, readonly [name: string, description: string]>> = {
  400: ['Wrong', 'A parameter is unknown or wrong.'],
  401: ['NoToken', 'The token is missing or wrong.'],
  403: ['NotAllowed', 'Another machine, and no token is configured; or a page of another origin.'],
  421: ['WrongHost', 'Host is none of the names of this address.'],
  500: ['Fault', 'The gateway is at fault.'],
}

/** Likewise, of calls that take a body. */
const BODY_REFUSALS: typeof REFUSALS = {
  413: ['BodyTooLong', 'The body is longer than 16 KiB.'],
  415: ['BodyNotJson', 'The body is not application/json.'],
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
      responses: Object.fromEntries(
        Object.values({ ...REFUSALS, ...BODY_REFUSALS }).map(([name, text]) => [
          name,
          problemJson(text),
        ]),
      ) as Json,
      schemas: namedJson(),
    },
  }
}

function operationJson(operation: Operation): Json {
  const { id, summary, path, named, query, options, answers, problems } = operation
  const hasBody = Object.keys(options).length > 0
  const name = /\{(\w+)\}/.exec(path)?.[1]
  const refusals = { ...REFUSALS, ...(hasBody ? BODY_REFUSALS : {}) }
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
        { description, content: { 'application/json': { schema: answerJson(schema) } } },
      ]),
      ...Object.entries(refusals).map(([status, [refusal]]) => [
        status,
        { $ref: `#/components/responses/${refusal}` },
      ]),
      ...Object.entries(problems).map(([status, text]) => [status, problemJson(text)]),
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
  const schema = answerJson(problemSchema)
  return { description, content: { 'application/problem+json': { schema } } }
}

/** By its name, where it has one. */
function answerJson(schema: z.ZodType): Json {
  const id = namedSchemas.get(schema)?.id
  return id === undefined ? schemaJson(schema, 'output') : { $ref: placeOf(id) }
}

function placeOf(id: string): string {
  return `#/components/schemas/${id}`
}

function namedJson(): Json {
  const { schemas } = z.toJSONSchema(namedSchemas, {
    uri: placeOf,
    io: 'output',
    target: 'draft-2020-12',
  })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _schema, $id: _id, ...json }]) => [id, json]),
  ) as Json
}

function schemaJson(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' })
  return json
}
