import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { loadText, problemsIn } from './load-text.ts'

function routeWith(setting: string): string {
  return `routes: [{ upstream: "http://a", ${setting} }]`
}

function drainFrame(written: string): unknown {
  return loadText(routeWith(`close: { drain: ${written} }`)).routes[0]?.close.frames.drain
}

const codeMessage =
  'expected a close code: 1000 to 1014 without 1004, 1005, 1006 and 1010, or 3000 to 4999'

describe('a Close frame', () => {
  const frames: [written: string, frame: { code: number; text: string }][] = [
    ['1000', { code: 1000, text: 'going away' }],
    ['1014', { code: 1014, text: 'going away' }],
    ['3000', { code: 3000, text: 'going away' }],
    ['"4999"', { code: 4999, text: 'going away' }],
    ['{}', { code: 1001, text: 'going away' }],
    ['{ code: "4000" }', { code: 4000, text: 'going away' }],
    ['{ text: "" }', { code: 1001, text: '' }],
    ['{ retryAfter: 5s }', { code: 1001, text: 'going away; retry after 5s' }],
    ['{ retryAfter: 1ms }', { code: 1001, text: 'going away; retry after 1s' }],
    ['{ text: "", retryAfter: 2m }', { code: 1001, text: 'retry after 120s' }],
    [`{ text: ${'x'.repeat(123)} }`, { code: 1001, text: 'x'.repeat(123) }],
  ]
  for (const [written, frame] of frames) {
    it(`is read from ${written.slice(0, 40)}`, () => assert.deepEqual(drainFrame(written), frame))
  }

  for (const code of [
    '999',
    '1004',
    '1005',
    '1006',
    '1010',
    '1015',
    '2999',
    '5000',

    'x',
  ]) {
    it(`refuses the code ${code}, also in a map`, () => {
      assert.deepEqual(problemsIn(routeWith(`close: { idle: ${code} }`)), [
        `1:49: routes[0].close.idle: ${codeMessage}`,
      ])
      const [problem = ''] = problemsIn(routeWith(`close: { idle: { code: ${code} } }`))
      assert.ok(problem.startsWith(`1:57: routes[0].close.idle.code: ${codeMessage}`), problem)
    })
  }

  const refused: [name: string, written: string, problem: string][] = [
    [
      'a text that does not fit, counted in bytes',
      `{ text: ${'ä'.repeat(62)} }`,
      '1:49: routes[0].close.idle: text has 124 bytes; at most 123 fit',
    ],
    [
      'a text that leaves no place for the hint',
      `{ text: ${'x'.repeat(110)}, retryAfter: 5s }`,
      '1:49: routes[0].close.idle: text has 126 bytes with the hint of retryAfter; at most 123 fit',
    ],
    [
      'an unknown key',
      '{ reason: x }',
      '1:51: routes[0].close.idle.reason: unknown key; known here: code, text, retryAfter',
    ],
    [
      'a part of a code',
      '1001.5',
      '1:49: routes[0].close.idle: expected a close code such as 1001, or a map with keys of code, text, retryAfter; got a number',
    ],
    [
      'a list',
      '[1001]',
      '1:49: routes[0].close.idle: expected a close code such as 1001, or a map with keys of code, text, retryAfter; got a list',
    ],
  ]
  for (const [name, written, problem] of refused) {
    it(`refuses ${name}`, () => {
      assert.deepEqual(problemsIn(routeWith(`close: { idle: ${written} }`)), [problem])
    })
  }

  it('is known by its reason alone', () => {
    assert.deepEqual(problemsIn(routeWith('close: { drian: 1001, timeout: 0s }')), [
      '1:43: routes[0].close.drian: unknown key, did you mean "drain"?',
      '1:65: routes[0].close.timeout: must be longer than 0',
    ])
  })
})

describe('keepalive', () => {
  it('is off, or a map that may be empty', () => {
    const read = (written: string): unknown =>
      loadText(routeWith(`keepalive: ${written}`)).routes[0]?.keepalive
    assert.equal(read('off'), undefined)
    assert.deepEqual(read('{}'), { pingMs: 30_000, timeoutMs: 10_000, upstream: false })
    assert.deepEqual(read('{ ping: 1m, timeout: 5s, upstream: true }'), {
      pingMs: 60_000,
      timeoutMs: 5000,
      upstream: true,
    })
  })

  it('refuses what it is not', () => {
    assert.deepEqual(problemsIn(routeWith('keepalive: 30s')), [
      '1:45: routes[0].keepalive: expected off, or a map with keys of ping, timeout, upstream',
    ])
    assert.deepEqual(problemsIn(routeWith('keepalive: { ping: off, timout: 1s }')), [
      '1:53: routes[0].keepalive.ping: expected a duration such as 500ms, 5s, 10m, 1h30m or 7d',
      '1:58: routes[0].keepalive.timout: unknown key, did you mean "timeout"?',
    ])
  })
})
