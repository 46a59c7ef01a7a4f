import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { nearest } from '../../src/config/section.ts'

const known = ['upstream', 'match', 'upgrade', 'stripPrefix', 'tls', 'http', 'limits', 'rewrite']

const cases: [word: string, meant: string | undefined][] = [
  ['upstrem', 'upstream'],
  ['upsteram', 'upstream'],
  ['macth', 'match'],
  ['strip_prefix', 'stripPrefix'],
  ['Strip-Prefix', 'stripPrefix'],
  ['tsl', undefined],
  ['https', 'http'],
  ['limit', 'limits'],
  ['backend', undefined],
  ['constructor', undefined],
  ['x', undefined],
]

describe('nearest', () => {
  for (const [word, meant] of cases) {
    it(`takes ${word} for ${meant ?? 'nothing'}`, () => assert.equal(nearest(word, known), meant))
  }
})
