import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cutTo, visible, visibleJson, visibleLines } from '../../src/base/visible.ts'

const HIDDEN = '\x7f\x80\x85\x9b\x9f\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069'

/** Everything that must not be seen raw anywhere. */
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

describe('visible', () => {
  for (const character of `\0\x07\t\n\r\x1b${HIDDEN}`) {
    const escape = `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    it(`writes ${escape} as its escape`, () => {
      assert.equal(visible(`a${character}b`), `a${escape}b`)
    })
  }

  it('leaves other scripts and signs as they are', () => {
    const text = 'häßlich \u05d0 日本 😀 \u00a0 \u2027 \u2065 \\ "'
    assert.equal(visible(text), text)
    assert.equal(visibleLines(text), text)
    assert.equal(visibleJson(text), text)
  })
})

describe('visibleLines', () => {
  it('keeps lines and tabs, and nothing else that a terminal obeys', () => {
    assert.equal(visibleLines('a\n\tb\x1b[2J\r\x9b'), 'a\n\tb\\u001b[2J\\u000d\\u009b')
  })
})

describe('visibleJson', () => {
  it('means the same', () => {
    const value = { [`a${HIDDEN}`]: `\x1b\r${HIDDEN}\\u0085` }
    const json = visibleJson(JSON.stringify(value))
    assert.doesNotMatch(json, OBEYED)
    assert.deepEqual(JSON.parse(json), value)
  })
})

describe('cutTo', () => {
  const bytesOf = (text: string): number =>
    Buffer.byteLength(visibleJson(JSON.stringify(text))) - '""'.length

  for (const [name, part] of [
    ['letters', 'x'],
    ['quotes', '"'],
    ['control characters', '\x01'],
    ['C1', '\x9b'],
    ['bidirectional controls', '\u202e'],
    ['umlauts', 'ä'],
    ['ideographs', '日'],
    ['emoji', '😀'],
    ['halves of a pair', '\ud83d'],
    ['a mixture', 'a"\u2066ä\n日😀'],
  ] as const) {
    it(`bounds ${name} by what is written of them`, () => {
      for (const length of [1, 100, 341, 342, 500, 2048, 20_000]) {
        const text = part.repeat(length)
        const cut = cutTo(text, 2048)
        assert.ok(bytesOf(cut) <= 2048)
        if (bytesOf(text) <= 2048) assert.equal(cut, text)
        else {
          assert.ok(bytesOf(cut) > 2048 - 16, `${bytesOf(cut)} bytes`)
          assert.ok(cut.endsWith('...') && text.startsWith(cut.slice(0, -3)))
        }
      }
    })
  }
})
