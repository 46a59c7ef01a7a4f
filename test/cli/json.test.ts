import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { jsonText } from '../../src/cli/json.ts'

describe('jsonText', () => {
  it('means the same, and has nothing that a terminal obeys', () => {
    const value = { path: 'a\x1b[2J\x9b1m\x7f\u202e\u2066', more: ['ä'] }
    const text = jsonText(value)
    assert.deepEqual(JSON.parse(text), value)
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]/)
    assert.ok(text.endsWith('}\n'))
  })
})
