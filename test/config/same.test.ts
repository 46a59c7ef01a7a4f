import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { sameConfig } from '../../src/config/same.ts'
import { loadText } from './load-text.ts'

const yaml = `
auth: { a: { type: jwt, secret: 0123456789abcdef0123456789abcdef, claims: { role: [admin, 1] } } }
upstreams: { one: { endpoints: ["http://a"] }, two: { endpoints: ["http://b"] } }
routes: [{ upstream: one, auth: [a], match: { headers: { X-A: true, X-B: b } } }]
`

describe('sameConfig', () => {
  it('finds two readings of one file the same, with its maps and what is off', () => {
    const [a, b] = [loadText(yaml), loadText(yaml)]
    for (const key of ['admin', 'auth', 'listeners', 'relay', 'routes', 'upstreams'] as const) {
      assert.ok(sameConfig<unknown>(a[key], b[key]), key)
    }
  })

  it('sees what differs deep inside', () => {
    const { auth, routes, upstreams } = loadText(yaml)
    const changed = (from: string, to: string) => loadText(yaml.replace(from, to))
    assert.ok(!sameConfig(auth, changed('admin, 1', 'admin, "1"').auth))
    assert.ok(!sameConfig(routes, changed('X-B: b', 'X-B: c').routes))
    assert.ok(
      !sameConfig(routes, changed('upstream: one,', 'upstream: one, keepalive: {},').routes),
    )
    assert.ok(!sameConfig(upstreams, changed('http://b', 'http://c').upstreams))
  })

  const pairs: [a: unknown, b: unknown, same: boolean][] = [
    [Infinity, Infinity, true],
    [Infinity, 1, false],
    [undefined, undefined, true],
    [undefined, {}, false],
    [['a', 'b'], ['b', 'a'], false],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [new Map([['a', 1]]), new Map([['a', 2]]), false],
    [
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
      true,
    ],
  ]
  for (const [index, [a, b, same]] of pairs.entries()) {
    it(`compares as it should, case ${index + 1}`, () => assert.equal(sameConfig(a, b), same))
  }
})
