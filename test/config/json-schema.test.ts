import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

import { jsonSchema } from '../../src/config/json-schema.ts'
import type { JsonSchema } from '../../src/config/json-schema.ts'
import { configKeys, configTable } from '../support/config-table.ts'

function nodeAt(...path: string[]): JsonSchema {
  let node: unknown = jsonSchema()
  for (const step of path) node = (node as Record<string, unknown>)[step]
  return node as JsonSchema
}

describe('the JSON Schema', () => {
  it('is the one beside the example', () => {
    const file = new URL('../../config/upgate.schema.json', import.meta.url)
    const committed: unknown = JSON.parse(readFileSync(file, 'utf8'))
    assert.deepEqual(committed, JSON.parse(JSON.stringify(jsonSchema())))
  })

  it('is of draft 2020-12', () => {
    const { $schema } = jsonSchema() as { $schema?: string }
    assert.equal($schema, 'https://json-schema.org/draft/2020-12/schema')
  })

  it('describes every key', () => {
    assert.deepEqual(
      configKeys().filter((key) => !/[a-z].*\.$/s.test(key.description)),
      [],
    )
  })

  it('has the defaults as they are written in the file', () => {
    const listener = ['properties', 'listeners', 'items', 'properties']
    assert.equal(nodeAt(...listener, 'headTimeout').default, '10s')
    assert.equal(nodeAt(...listener, 'headBytes').default, '16KiB')
    assert.deepEqual(nodeAt('properties', 'routes', 'items', 'properties', 'upgrade').default, [
      'websocket',
    ])
  })

  it('knows no other keys', () => {
    assert.equal(jsonSchema().additionalProperties, false)
    assert.equal(nodeAt('properties', 'routes', 'items').additionalProperties, false)
  })

  it('lets a variable stand for every value that has a form', () => {
    const timeout = nodeAt('properties', 'shutdown', 'properties', 'drain')
    const pattern = new RegExp(timeout.pattern ?? '^$', 'u')
    assert.match('5s', pattern)
    assert.match('${DRAIN}', pattern)
    assert.doesNotMatch('5 seconds', pattern)
    const level = nodeAt('properties', 'log', 'properties', 'level')
    assert.deepEqual(
      level.anyOf?.map((branch) => branch.enum ?? branch.pattern),
      [['trace', 'debug', 'info', 'warn', 'error', 'silent'], '\\$\\{'],
    )
  })

  it('has patterns that other programs can read', () => {
    const patterns: string[] = []
    JSON.stringify(jsonSchema(), (key, value: unknown) => {
      if (key === 'pattern') patterns.push(String(value))
      return value
    })
    assert.ok(patterns.length > 50)
    for (const pattern of patterns) assert.doesNotThrow(() => new RegExp(pattern, 'u'), pattern)
  })
})

describe('the table of keys', () => {
  it('has a row with type, default and description for each key', () => {
    const rows = configTable().split('\n')
    assert.equal(rows.length, configKeys().length + 3)
    assert.ok(
      rows.includes(
        '| `listeners[].headTimeout` | duration | `10s` | For a whole request head: 408 after it. |',
      ),
    )
    assert.ok(
      rows.includes(
        '| `routes[].limits.tunnels` | number or off | `off` | Tunnels open at once on this route: 503 above it. |',
      ),
    )
    assert.ok(
      rows.some((row) =>
        row.startsWith('| `upstreams.NAME.endpoints` | list of (URL or map) | required |'),
      ),
    )
    assert.ok(rows.some((row) => row.startsWith('| `auth.NAME.users` | file | required | basic: ')))
    assert.ok(
      rows.some((row) =>
        row.startsWith('| `log.level` | trace, debug, info, warn, error, silent |'),
      ),
    )
  })
})
