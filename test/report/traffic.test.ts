import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Traffic } from '../../src/report/traffic.ts'
import { frameCounts, reading } from '../support/readings.ts'

describe('Traffic', () => {
  it('sums what tunnels tell, each way by itself', () => {
    const traffic = new Traffic()
    const up = frameCounts({ text: 1, binary: 2, ping: 3, pong: 4, close: 5, other: 6 })
    const down = frameCounts({ text: 10, blind: true })
    traffic.add(reading({ bytesUp: 7, bytesDown: 8, webSocket: { up, down, close: undefined } }))
    traffic.add(reading({ bytesUp: 100, webSocket: { up, down, close: undefined } }))
    traffic.add(reading({ bytesDown: 1000 }))
    const none = { text: 0, binary: 0, ping: 0, pong: 0, close: 0, other: 0 }
    const twice = { text: 2, binary: 4, ping: 6, pong: 8, close: 10, other: 12 }
    assert.deepEqual(structuredClone(traffic.up), { ...twice, bytes: 107, blind: 0 })
    assert.deepEqual(structuredClone(traffic.down), { ...none, text: 20, bytes: 1008, blind: 2 })
  })

  it('goes on in a copy, and stays as it is', () => {
    const traffic = new Traffic()
    traffic.add(reading({ bytesUp: 1, bytesDown: 2 }))
    const copy = traffic.copy()
    copy.add(reading({ bytesUp: 10, bytesDown: 20 }))
    assert.deepEqual([traffic.up.bytes, traffic.down.bytes], [1, 2])
    assert.deepEqual([copy.up.bytes, copy.down.bytes], [11, 22])
  })
})
