import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { OpenSockets } from '../../src/listen/open-sockets.ts'
import { socketPair } from '../support/socket-pair.ts'

describe('OpenSockets', () => {
  it('are none at first', async () => {
    await new OpenSockets().none()
  })

  it('are none again when the last of them has closed, for everybody who waits', async () => {
    await using first = await socketPair()
    await using last = await socketPair('unix')
    const sockets = new OpenSockets()
    sockets.add(first.socket)
    sockets.add(last.socket)
    let waiting = 2
    const both = [sockets.none(), sockets.none()].map((none) => none.then(() => (waiting -= 1)))
    await once(first.socket.destroy(), 'close')
    await new Promise(setImmediate)
    assert.equal(waiting, 2)
    last.socket.destroy()
    await Promise.all(both)
    await sockets.none()
  })
})
