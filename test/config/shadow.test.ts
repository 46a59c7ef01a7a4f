import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { problemsIn } from './load-text.ts'

/** Whether the second of two matches is told to be out of reach. */
function isShadowed(first: string, second: string): boolean {
  const problems = problemsIn(
    `routes:\n  - { match: ${first}, upstream: "http://a" }\n  - { match: ${second}, upstream: "http://a" }`,
  )
  return problems.some((problem) => problem.includes('can never match'))
}

const shadowed: [first: string, second: string][] = [
  ['{}', '{}'],
  ['{}', '{ host: a.com, path: /a, methods: [GET] }'],
  ['{ path: / }', '{ path: /a }'],
  ['{ path: / }', '{}'],
  ['{ path: /a }', '{ path: /a }'],
  ['{ path: /a }', '{ path: /a/b }'],
  ['{ path: /a }', '{ path: { exact: /a } }'],
  ['{ path: /a/ }', '{ path: { exact: /a/b } }'],
  ['{ path: / }', '{ path: { regex: a } }'],
  ['{ path: { exact: /a } }', '{ path: { exact: /a } }'],
  ['{ path: { regex: a } }', '{ path: { regex: a } }'],
  ['{ host: a.com }', '{ host: A.com }'],
  ['{ host: [a.com, b.com] }', '{ host: b.com }'],
  ['{ host: "*.a.com" }', '{ host: [b.a.com, c.b.a.com] }'],
  ['{ host: "*.a.com" }', '{ host: "*.b.a.com" }'],
  ['{ methods: [GET, POST] }', '{ methods: [POST] }'],
  ['{ headers: { X-A: b } }', '{ headers: { x-a: b, X-C: true } }'],
  ['{ query: { a: { regex: b } } }', '{ query: { a: { regex: b } } }'],
]

const reachable: [first: string, second: string][] = [
  ['{ path: /a }', '{}'],
  ['{ path: /a }', '{ path: /ab }'],
  ['{ path: /a/ }', '{ path: /a }'],
  ['{ path: /a/b }', '{ path: /a }'],
  ['{ path: /a }', '{ path: { regex: /a/b } }'],
  ['{ path: { exact: /a } }', '{ path: /a }'],
  ['{ path: { regex: a } }', '{ path: { regex: b } }'],
  ['{ host: a.com }', '{}'],
  ['{ host: a.com }', '{ host: [a.com, b.com] }'],
  ['{ host: "*.a.com" }', '{ host: a.com }'],
  ['{ host: "*.a.com" }', '{ host: ba.com }'],
  ['{ host: b.a.com }', '{ host: "*.a.com" }'],
  ['{ methods: [GET] }', '{}'],
  ['{ methods: [GET] }', '{ methods: [GET, POST] }'],
  ['{ headers: { X-A: b } }', '{ headers: { X-A: c } }'],
  ['{ headers: { X-A: true } }', '{ headers: { X-A: b } }'],
  ['{ query: { a: b } }', '{}'],
]

describe('a route after another', () => {
  for (const [first, second] of shadowed) {
    it(`${second} can never match after ${first}`, () => assert.ok(isShadowed(first, second)))
  }
  for (const [first, second] of reachable) {
    it(`${second} can match after ${first}`, () => assert.ok(!isShadowed(first, second)))
  }

  it('is told with the name of the other', () => {
    const yaml = 'routes:\n  - { name: all, upstream: "http://a" }\n  - upstream: http://b'
    assert.deepEqual(problemsIn(yaml), [
      '3:5: routes[1]: can never match: routes[0] (all) takes all of its requests; put this route first',
    ])
  })
})
