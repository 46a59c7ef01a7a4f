import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { z } from 'zod'

import {
  fieldName,
  fieldValue,
  isOwnedField,
  method,
  realm,
  upgradeToken,
} from '../../src/config/fields.ts'

function isRight(schema: z.ZodType, input: unknown): boolean {
  return schema.safeParse(input).success
}

const tables: [what: string, schema: z.ZodType, right: unknown[], wrong: unknown[]][] = [
  [
    'a field name',
    fieldName(),
    ['X-Api-Key', 'a', "!#$%&'*+.^_`|~9"],
    ['', 'a b', 'a:', 'ä', 'a\n'],
  ],
  [
    'a field value',
    fieldValue(),
    ['', 'a', 'a b\tc', 'é'],
    [' a', 'a ', 'a\nb', 'a\rb', 'a\0', '\x7f', 'a\r\nB: c', '€', 1, true],
  ],
  [
    'a method',
    method(),
    ['GET', 'POST', 'PURGE', 'purge'],
    ['get', 'Post', 'CONNECT', 'trace', 'A B'],
  ],
  [
    'an upgrade token',
    upgradeToken(),
    ['websocket', 'SPDY/3.1', 'tcp', 'h2c'],
    ['', 'a b', 'a/', '/1', 'a,b', 'a/1/2'],
  ],
  ['a realm', realm(), ['upgate', 'a b'], ['', 'a"b', 'a\\b', 'a\nb', 'ä', 'a'.repeat(101)]],
]

for (const [what, schema, right, wrong] of tables) {
  describe(what, () => {
    for (const input of right) {
      it(`is ${JSON.stringify(input)}`, () => assert.equal(isRight(schema, input), true))
    }
    for (const input of wrong) {
      it(`is not ${JSON.stringify(input).slice(0, 20)}`, () =>
        assert.equal(isRight(schema, input), false))
    }
  })
}

describe('upgradeToken', () => {
  it('turns tokens into lower case', () => {
    assert.equal(upgradeToken().parse('SPDY/3.1'), 'spdy/3.1')
  })
})

describe('isOwnedField', () => {
  for (const name of ['Connection', 'UPGRADE', 'te', 'Sec-WebSocket-Anything', 'Content-Length']) {
    it(`is true for ${name}`, () => assert.equal(isOwnedField(name), true))
  }
  for (const name of ['Host', 'X-Connection', 'Cookie', 'Sec-Fetch-Mode']) {
    it(`is false for ${name}`, () => assert.equal(isOwnedField(name), false))
  }
})
