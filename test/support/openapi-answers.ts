/** Holds answers of the admin API against its own OpenAPI document. */

import assert from 'node:assert/strict'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { apiDocument } from '../../src/admin/operations.ts'

export interface ApiAnswer {
  readonly status: number
  readonly type: string
  readonly body: unknown
}

interface ApiResponse {
  readonly content: Readonly<Record<string, { readonly schema: object }>>
}

interface ApiOperation {
  readonly responses: Readonly<Record<string, ApiResponse | { readonly $ref: string }>>
}

interface Components {
  readonly responses: Readonly<Record<string, ApiResponse>>
}

export type ApiPaths = Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>

// The forms of date-time stand in patterns beside their formats.
const ajv = new Ajv2020({ validateFormats: false, allErrors: true })
ajv.addVocabulary(['components'])
const components = apiDocument()['components'] as Components
ajv.addSchema({ $id: 'document', components })

const validators = new Map<object, ValidateFunction>()

export function apiPaths(): ApiPaths {
  return apiDocument()['paths'] as ApiPaths
}

/** Fails when the document has no such answer, or describes it otherwise. `path` is the path that was asked, without a query. */
export function assertDocumented(method: string, path: string, answer: ApiAnswer): void {
  const operation = Object.entries(apiPaths()).find(([place]) => patternOf(place).test(path))?.[1]
  const response = operation?.[method.toLowerCase()]?.responses[String(answer.status)]
  const described = response && resolved(response)
  const what = `${method} ${path}: ${answer.status}`
  assert.ok(described !== undefined, `${what} is not in the document`)
  const schema = described.content[answer.type]?.schema
  assert.ok(schema !== undefined, `${what} as ${answer.type} is not in the document`)
  const validate = validators.get(schema) ?? ajv.compile(withinDocument(schema))
  validators.set(schema, validate)
  assert.ok(validate(answer.body), `${what}: ${ajv.errorsText(validate.errors)}`)
}

function resolved(response: ApiResponse | { readonly $ref: string }): ApiResponse | undefined {
  if (!('$ref' in response)) return response
  return components.responses[response.$ref.replace('#/components/responses/', '')]
}

function patternOf(place: string): RegExp {
  return new RegExp(`^${place.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`)
}

/** References of the document begin at its root. */
function withinDocument(schema: object): object {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"document#/components')
  return JSON.parse(text) as object
}
