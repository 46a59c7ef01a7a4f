import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isShared } from '../../src/handshake/shared.ts'
import { frameEndpoint } from '../support/frame-endpoint.ts'
import { socketPair } from '../support/socket-pair.ts'
import { ready, TestStream } from '../http2/harness.ts'

describe('isShared', () => {
  it('tells a stream of a shared connection from a connection', async () => {
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    await using pair = await socketPair()
    const { stream } = new TestStream(one.connection)
    assert.equal(isShared(stream), true)
    assert.equal(isShared(pair.socket), false)
    stream.destroy()
  })
})
