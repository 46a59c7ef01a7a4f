import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasPassed, newPseudonym } from '../../src/request/via.ts'
import { factsOf, fieldsOf } from './reading.ts'

describe('newPseudonym', () => {
  it('is a token of its own each time', () => {
    assert.match(newPseudonym(), /^upgate-[0-9a-f]{16}$/)
    assert.notEqual(newPseudonym(), newPseudonym())
  })
})

describe('hasPassed', () => {
  const cases: [lines: string[], passed: boolean][] = [
    [[], false],
    [['Via: 1.1 upgate-1'], true],
    [['via: 1.0 a, 2.0 upgate-1 (x), 1.1 b'], true],
    [['Via: 1.1 a', 'VIA: HTTP/1.1\tupgate-1'], true],
    [['Via: 1.1 upgate-2', 'X-Via: 1.1 upgate-1'], false],
  ]
  for (const [lines, passed] of cases) {
    it(`is ${passed} for ${JSON.stringify(lines)}`, () => {
      assert.equal(hasPassed(fieldsOf(lines), 'upgate-1'), passed)
    })
  }
})

describe('what is added to Via', () => {
  it('is the version of the request and the pseudonym, or nothing', () => {
    assert.equal(factsOf({ pseudonym: 'a' }).via, '1.1 a')
    assert.equal(factsOf({ pseudonym: 'a', httpVersion: '1.0' }).via, '1.0 a')
    assert.equal(factsOf({ pseudonym: 'a', http2: true }).via, '2.0 a')
    assert.equal(factsOf({}).via, undefined)
  })
})
