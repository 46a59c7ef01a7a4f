import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { READING_NUMBERS } from '../../src/relay/binding.ts'
import { readingOf } from '../../src/relay/native-reading.ts'

/** Each number is its own place. */
const numbers = Float64Array.from({ length: READING_NUMBERS }, (_, index) => index)

describe('readingOf', () => {
  it('finds each number in its place', () => {
    numbers[19] = 1
    numbers[20] = 2
    assert.deepEqual(readingOf(numbers, true), {
      bytesUp: 0,
      bytesDown: 1,
      firstUpMs: 2,
      firstDownMs: 3,
      silentUpMs: 4,
      silentDownMs: 5,
      webSocket: {
        up: { text: 6, binary: 7, ping: 8, pong: 9, close: 10, other: 11, blind: false },
        down: { text: 13, binary: 14, ping: 15, pong: 16, close: 17, other: 18, blind: true },
        close: { by: 'gateway', code: 21 },
      },
    })
  })

  it('leaves out what there is not', () => {
    const none = new Float64Array(READING_NUMBERS).fill(-1)
    const { firstUpMs, firstDownMs, webSocket } = readingOf(none, true)
    assert.deepEqual([firstUpMs, firstDownMs, webSocket?.close], [undefined, undefined, undefined])
    assert.equal(readingOf(none, false).webSocket, undefined)
  })
})
