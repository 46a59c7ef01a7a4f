/** The schema of the configuration for editors: they complete keys with it, show what they mean, and mark mistakes. */

import { z } from 'zod'

import { configSchema } from './schema.ts'

/** A node of a JSON Schema, as far as this program looks at it. */
export interface JsonSchema {
  readonly type?: string
  readonly title?: string
  readonly description?: string
  readonly default?: unknown
  readonly pattern?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly additionalProperties?: JsonSchema | boolean
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}

/** JSON Schema, draft 2020-12, of the file as it is written. */
export function jsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12' })
  const { $schema, ...rest } = schema
  const titled = { $schema, title: 'The configuration of upgate', ...rest }
  return withVariables(titled) as JsonSchema
}

const variable = { type: 'string', pattern: String.raw`\$\{` }

/** Wherever a value has a form, a variable of the environment may stand in its place. */
function withVariables(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withVariables)
  if (typeof node !== 'object' || node === null) return node
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(node)) {
    // What names a key cannot come from the environment.
    result[key] = key === 'propertyNames' || key === 'default' ? value : withVariables(value)
  }
  if (typeof result['pattern'] === 'string') {
    result['pattern'] = `(?:${result['pattern']})|${variable.pattern}`
  }
  if (result['type'] === 'string' && Array.isArray(result['enum'])) {
    const { type, enum: words, ...rest } = result
    return { ...rest, anyOf: [{ type, enum: words }, variable] }
  }
  return result
}
