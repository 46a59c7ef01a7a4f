import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { closeFrame, pingFrame, pingPayload } from '../../src/relay/control-frames.ts'
import { closePayload, downFrame, masked, upFrame, CLOSE, PING } from './made-frames.ts'

const longest = 'é'.repeat(61) + '!'

describe('closeFrame', () => {
  for (const [name, frame] of [
    ['a code alone', { code: 1001, text: '' }],
    ['a code and a text', { code: 4999, text: 'bye' }],
    ['the longest text, counted in bytes', { code: 1012, text: longest }],
  ] as const) {
    it(`carries ${name}, bare and masked`, () => {
      const payload = closePayload(frame.code, frame.text)
      assert.deepEqual(closeFrame(frame, false), downFrame(CLOSE, payload))
      const sent = closeFrame(frame, true)
      assert.deepEqual(sent, upFrame(CLOSE, payload, { key: sent.subarray(2, 6) }))
    })
  }
})

describe('pingFrame', () => {
  it('carries the payload of all pings of this process', () => {
    assert.equal(pingPayload.length, 8)
    assert.deepEqual(pingFrame(false), downFrame(PING, pingPayload))
    const sent = pingFrame(true)
    assert.deepEqual(masked(sent.subarray(6), sent.subarray(2, 6)), pingPayload)
  })

  it('has a fresh key each time', () => {
    const keys = new Set(Array.from({ length: 50 }, () => pingFrame(true).toString('hex', 2, 6)))
    assert.equal(keys.size, 50)
  })
})
