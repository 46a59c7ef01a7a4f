import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { ConfigError } from '../../src/config/problem.ts'
import { loadText } from './load-text.ts'

const UPSTREAM = 'upstreams: { a: { endpoints: [builtin:echo] } }\n'

function lines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => `${line(index)}\n`).join('')
}

function routes(count: number, route: (index: number) => string): string {
  return `routes:\n${lines(count, (index) => `  - { ${route(index)} }`)}`
}

const big: readonly (readonly [name: string, yaml: (count: number) => string])[] = [
  ['unknown keys', (n) => `${lines(n, (i) => `k${i}: 1`)}routes: [{ upstream: builtin:echo }]`],
  [
    'routes of hosts',
    (n) => UPSTREAM + routes(n, (i) => `match: { host: h${i}.a.b }, upstream: a`),
  ],
  ['routes of paths', (n) => UPSTREAM + routes(n, (i) => `match: { path: /${i} }, upstream: a`)],
  [
    'routes of fields',
    (n) => UPSTREAM + routes(n, (i) => `match: { headers: { X-A: "1", X-B: b${i} } }, upstream: a`),
  ],
  ['routes without a valid path', (n) => routes(n, (i) => `match: { path: p${i} }`)],
  [
    'routes to upstreams that are not there',
    (n) =>
      `upstreams:\n${lines(n, (i) => `  u${i}: { endpoints: [builtin:echo] }`)}` +
      routes(n, (i) => `match: { path: /${i} }, upstream: a${i}`),
  ],
  [
    'routes of one name',
    (n) => routes(n, (i) => `name: a, match: { path: /${i} }, upstream: "http://a"`),
  ],
  [
    'aliases',
    (n) =>
      UPSTREAM +
      `defaults: { allow: &x [::1] }\nroutes:\n` +
      lines(n, (i) => `  - { match: { path: /${i}, methods: &m${i} [GET] }, upstream: a }`) +
      lines(n, (i) => `  - { match: { path: /x${i}, methods: *m${i} }, upstream: a }`),
  ],
  ['keys that are there twice', (n) => lines(n, () => 'log: {}')],
  [
    'listeners',
    (n) =>
      `listeners:\n${lines(n, (i) => `  - address: 10.0.${i >> 8}.${i & 255}:80`)}` +
      'routes: [{ upstream: builtin:echo }]',
  ],
]

/** Of this process, in milliseconds: other programs on the machine do not count. */
function cpuMsOf(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function load(yaml: string): ConfigError | undefined {
  try {
    loadText(yaml)
    return undefined
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

describe('a big file', () => {
  for (const [name, yaml] of big) {
    it(`takes time in proportion to its size: ${name}`, () => {
      load(yaml(200))
      const shortMs = cpuMsOf(() => load(yaml(1000)))
      const longMs = cpuMsOf(() => load(yaml(4000)))
      // Four times the size takes four times as long, or sixteen times where it is not in proportion.
      assert.ok(longMs < 9 * shortMs + 300, `${longMs} ms after ${shortMs} ms`)
    })
  }

  it('has its first 100 problems told, in the order of the file, and the number of the others', () => {
    const error = load(routes(5000, (i) => `match: { path: p${i} }, upstream: u`))
    assert.equal(error?.problems.length, 100)
    assert.equal(error.more, 9900)
    assert.equal(error.problems[0]?.place?.line, 2)
    assert.equal(error.problems[99]?.place?.line, 51)
    assert.match(error.message, /\n\.\.\. and 9,900 more problems$/)
  })

  it('has its first 100 warnings told, and the number of the others', () => {
    const upstreams = lines(150, (i) => `  u${i}: { endpoints: ["http://a"], rebalance: {} }`)
    const { warnings } = loadText(`upstreams:\n${upstreams}routes: [{ upstream: u1 }]`)
    assert.equal(warnings.length, 101)
    assert.equal(warnings.at(-1), '... and 50 more warnings')
  })

  it('may be nested as deeply as it likes: that is a problem, and not the end of the process', () => {
    for (const yaml of [
      `routes: ${'['.repeat(100_000)}`,
      `routes: ${'{a: '.repeat(5000)}`,
      `routes:\n  ${'- '.repeat(5000)}`,
      lines(500, (i) => `${' '.repeat(i)}a:`),
      lines(200, (i) => (i === 0 ? 'a0: &a0 []' : `a${i}: &a${i} [*a${i - 1}]`)),
    ]) {
      assert.match(String(load(yaml)?.message), /nested/)
    }
  })

  it('does not show lines that nobody wrote by hand', () => {
    const error = load(`{ routes: [{ upstream: "builtin:echo" }], ${'k: 1, '.repeat(5000)} }`)
    assert.match(String(error?.message), /^[^\n]*:1:49: this key is there twice$/)
    const long = load(`${'k'.repeat(5000)}: 1`)
    assert.ok(String(long?.message).length < 1000)
  })
})
