import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { ConfigError, formatPath, formatProblem } from '../../src/config/problem.ts'

function show(source: string, column: number): string {
  const place = { line: 7, column, source }
  return formatProblem({ file: 'a.yaml', place, path: 'a', text: 'is wrong' })
}

describe('formatPath', () => {
  it('joins keys with dots and puts indexes in brackets', () => {
    assert.equal(formatPath(['routes', 2, 'match', 'host', 0]), 'routes[2].match.host[0]')
  })
  it('quotes keys that are no words', () => {
    assert.equal(formatPath(['upstreams', 'a b', 'x.y']), 'upstreams["a b"]["x.y"]')
  })
  it('is empty for the file', () => assert.equal(formatPath([]), ''))
})

describe('formatProblem', () => {
  it('draws a caret below the place', () => {
    assert.equal(
      show('log: { level: loud }', 15),
      'a.yaml:7:15: a: is wrong\n  7 | log: { level: loud }\n    |               ^',
    )
  })
  it('keeps tabs before the caret', () => {
    assert.equal(show('a:\tb', 4), 'a.yaml:7:4: a: is wrong\n  7 | a:\tb\n    |   \t^')
  })
  it('shows only a part of a long line', () => {
    const [, line = '', caret = ''] = show(`${'x'.repeat(300)}HERE${'y'.repeat(300)}`, 301).split(
      '\n',
    )
    assert.equal(line.length, 106)
    assert.equal(line.slice(caret.indexOf('^'), caret.indexOf('^') + 4), 'HERE')
  })
  it('escapes what a terminal obeys, and keeps the caret below its place', () => {
    const [, line = '', caret = ''] = show('a\u202e\x9b: HERE', 6).split('\n')
    assert.equal(line, '  7 | a\\u202e\\u009b: HERE')
    assert.equal(line.slice(caret.indexOf('^')), 'HERE')
  })
  it('covers secrets and the credentials in URLs', () => {
    assert.match(show('  secret: hunter2, x', 3), /\| {3}secret: \*{10}\n/)
    assert.match(show('{ "secret": hunter2 }', 3), /\| \{ "secret": \*{9}\n/)
    assert.match(show('url: http://joe:hunter2@a', 3), /\| url: http:\/\/\*{11}@a\n/)
  })
  it('covers fields with credentials, and not what is only named like them', () => {
    assert.match(show('set: { Authorization: Basic hunter2 }', 3), /\{ Authorization: \*{15}\n/)
    assert.match(show('set: { "x-api-key": hunter2 }', 3), /\{ "x-api-key": \*{9}\n/)
    assert.match(show('from: [cookie:session]', 3), /\| from: \[cookie:session\]\n/)
  })
  it('covers the token of the admin server', () => {
    assert.match(show('admin: { token: hunter2 }', 3), /\| admin: \{ token: \*{9}\n/)
  })
  for (const path of ['auth.a.secret', 'admin.token']) {
    it(`covers ${path} on a line of its own`, () => {
      const place = { line: 7, column: 5, source: '    hunter2 # x' }
      assert.equal(
        formatProblem({ file: 'a', place, path, text: 'b' }),
        `a:7:5: ${path}: b\n  7 |     ***********\n    |     ^`,
      )
    })
  }
  it('does without a place and a path', () => {
    assert.equal(formatProblem({ file: 'a', place: undefined, path: '', text: 'b' }), 'a: b')
  })
})

describe('ConfigError', () => {
  it('has all problems in its message', () => {
    const problem = { file: 'a', place: undefined, path: '', text: 'b' }
    const error = new ConfigError([problem, problem])
    assert.equal(error.message, 'a: b\na: b')
    assert.equal(error.name, 'ConfigError')
    assert.equal(error.problems.length, 2)
  })
})
