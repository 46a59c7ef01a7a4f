import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Handshakes } from '../../src/listen/tls-handshakes.ts'
import { socketPair } from '../support/socket-pair.ts'

describe('Handshakes', () => {
  it('counts those in progress and what becomes of them, and refuses those beyond the limit', async () => {
    await using pair = await socketPair()
    const handshakes = new Handshakes(() => undefined)
    handshakes.max = 1
    assert.equal(handshakes.begin(pair.socket), true)
    assert.equal(handshakes.begin(pair.peer), false)
    handshakes.end(pair.socket, 'full')
    assert.equal(handshakes.begin(pair.peer), true)
    handshakes.end(pair.peer, 'failed')
    // One that has sent no ClientHello.
    handshakes.end(pair.socket, 'failed')
    assert.deepEqual(handshakes.counts, { full: 1, resumed: 0, failed: 2, refused: 1 })
    assert.equal(handshakes.refused.full, 1)
  })

  it('has the place again of a connection that is closed, whether its end is told or not', async () => {
    await using first = await socketPair()
    await using second = await socketPair()
    const handshakes = new Handshakes(() => undefined)
    handshakes.max = 1
    assert.equal(handshakes.begin(first.socket), true)
    await once(first.socket.destroy(), 'close')
    assert.equal(handshakes.begin(second.socket), true)
    handshakes.end(first.socket, 'failed')
    assert.equal(handshakes.begin(second.peer), false)
  })
})
