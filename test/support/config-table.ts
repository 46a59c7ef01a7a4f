/** The README's table of all keys of the configuration, made from the schema. */

import { jsonSchema } from '../../src/config/json-schema.ts'
import type { JsonSchema } from '../../src/config/json-schema.ts'

/** Its keys are close reasons, which all take the same map, and `timeout`. */
const closePath = 'routes[].close'

export interface ConfigKey {
  /** As in `routes[].match.path`; `upstreams.NAME.endpoints` for a map of names. */
  readonly path: string
  readonly type: string
  /** As it would stand in the file; `required` or empty where there is none. */
  readonly default: string
  readonly description: string
}

/**
 * Every key, in the order of the schema. The settings of a route are listed under `routes` alone, and what may stand in the
 * map of a close reason once, under REASON.
 */
export function configKeys(): ConfigKey[] {
  const keys: ConfigKey[] = []
  collect('', jsonSchema(), keys)
  return keys
}

/** A Markdown table with a row for every key. */
export function configTable(): string {
  const rows = configKeys().map(
    (key) =>
      `| \`${key.path}\` | ${cell(key.type)} | ${key.default === '' ? '' : code(key.default)} | ${cell(key.description)} |`,
  )
  return ['| Key | Type | Default | |', '| --- | --- | --- | --- |', ...rows, ''].join('\n')
}

function collect(path: string, node: JsonSchema, keys: ConfigKey[]): void {
  // Of entries of several kinds, each key tells which kind it belongs to.
  const kind = node.properties?.['type']?.const
  const prefix = typeof kind === 'string' ? `${kind}: ` : ''
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const childPath = path === '' ? name : `${path}.${name}`
    const isRequired = node.required?.includes(name) ?? false
    keys.push({
      path: childPath,
      type: typeOf(child),
      default: isRequired ? 'required' : defaultOf(child),
      description: prefix + (child.description ?? ''),
    })
    if (childPath !== 'defaults' && path !== closePath) collect(childPath, child, keys)
  }
  const { idle } = node.properties ?? {}
  if (path === closePath && idle !== undefined) collect(`${path}.REASON`, idle, keys)
  if (node.items !== undefined) collect(`${path}[]`, node.items, keys)
  if (typeof node.additionalProperties === 'object') {
    collect(`${path}.NAME`, node.additionalProperties, keys)
  }
  for (const branch of branches(node)) collect(path, branch, keys)
}

function typeOf(node: JsonSchema): string {
  if (node.title !== undefined) return node.title
  if (node.const !== undefined) return literal(node.const)
  if (node.enum !== undefined) return node.enum.map(literal).join(', ')
  if (node.items !== undefined) {
    const item = typeOf(node.items)
    return `list of ${item.includes(' or ') ? `(${item})` : item}`
  }
  if (typeof node.additionalProperties === 'object') {
    return `map of ${typeOf(node.additionalProperties)}`
  }
  if (node.properties !== undefined) return 'map'
  const types = branches(node)
    .filter((branch) => !isVariable(branch))
    .map(typeOf)
  return types.length > 0
    ? [...new Set(types)].join(' or ')
    : (node.type ?? 'text').replace('string', 'text')
}

/** The form of a variable of the environment, which every value may have. */
function isVariable(branch: JsonSchema): boolean {
  return branch.pattern === '\\$\\{'
}

function defaultOf(node: JsonSchema): string {
  if (node.default === undefined || JSON.stringify(node.default) === '{}') return ''
  return literal(node.default)
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function branches(node: JsonSchema): readonly JsonSchema[] {
  return [...(node.anyOf ?? []), ...(node.oneOf ?? [])]
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function code(text: string): string {
  return text === 'required' ? text : `\`${text}\``
}
