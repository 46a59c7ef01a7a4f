import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { withNative } from '../support/test-relay.ts'

const NATIVE = 'relay: { engine: native }'

describe('a handshake that the relay has heard itself', withNative, () => {
  it('goes to the next endpoint when one leaves without an answer, many at once', async () => {
    await using leaving = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.end()
    })
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(SWITCHING)
      connection.write(await connection.bytes(4))
    })
    // An endpoint that failed is tried again at once.
    const health = 'health: { setAside: 1ms, setAsideMax: 1ms }'
    await using gateway = await startTestGateway(
      `${NATIVE}
upstreams: { u: { endpoints: ["${leaving.url}", "${upstream.url}"], balance: round-robin, ${health} } }
routes: [{ upstream: u }]`,
    )
    let switched = 0
    for (let round = 0; round < 10; round += 1) {
      const clients = await Promise.all(Array.from({ length: 50 }, () => rawClient(gateway.port)))
      for (const client of clients) client.write(`${handshake()}ping`)
      for (const client of clients) {
        // With the other one set aside for a failure a client may find no endpoint at all.
        const { status } = await client.head()
        assert.ok(status === 101 || status === 502 || status === 503, `${status}`)
        if (status === 101) {
          assert.equal(await client.bytes(4), 'ping')
          switched += 1
        }
        await client[Symbol.asyncDispose]()
      }
    }
    assert.ok(switched > 0 && leaving.connections > 0)
  })

  it('gets an informational answer and the final one from one segment', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${SWITCHING}first`)
      connection.write(await connection.bytes(4))
    })
    await using gateway = await startTestGateway(
      `${NATIVE}\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    for (let round = 0; round < 50; round += 1) {
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      assert.equal((await client.head()).status, 103)
      assert.equal((await client.head()).status, 101)
      assert.equal(await client.bytes(5), 'first')
      client.write('ping')
      assert.equal(await client.bytes(4), 'ping')
    }
  })

  it('is refused when nothing follows an informational answer in time', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 103 Early Hints\r\n\r\n')
      await connection.rest()
    })
    await using gateway = await startTestGateway(
      `${NATIVE}\nroutes: [{ upstream: "${upstream.url}", timeouts: { handshake: 100ms } }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.head()).status, 103)
    assert.equal((await client.answer()).status, 504)
    // The connection has become a socket of node's, and is of use for another request.
    client.write(handshake())
    assert.equal((await client.head()).status, 103)
  })

  it('is refused on a connection that served a request before, when no endpoint listens', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const routes = `[{ match: { path: /dead }, upstream: "http://127.0.0.1:${await freePort()}" }, { upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(`${NATIVE}\nroutes: ${routes}`)
    await using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).body, 'ok')
    client.write(handshake('/dead'))
    assert.equal((await client.answer()).status, 502)
  })
})
