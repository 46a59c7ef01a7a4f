import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isUserName } from '../../src/auth/identity.ts'

describe('isUserName', () => {
  for (const name of ['ann', 'ann@example.com', 'Jörg Müller', '李', 'a'.repeat(1024)]) {
    it(`accepts ${name.slice(0, 20)}`, () => assert.equal(isUserName(name), true))
  }

  const wrong: readonly (readonly [name: string, text: string])[] = [
    ['the empty text', ''],
    ['a line break, which would begin another field', 'ann\r\nX-Admin: 1'],
    ['a NUL', 'ann\0'],
    ['a C1 control character', 'ann\x85b'],
    ['a blank at its end, which would be lost', 'ann '],
    ['a no-break space at its start', '\xa0ann'],
    ['a lone surrogate', 'ann\ud800'],
    ['more than 1024 characters', 'a'.repeat(1025)],
  ]
  for (const [name, text] of wrong) {
    it(`refuses ${name}`, () => assert.equal(isUserName(text), false))
  }
})
