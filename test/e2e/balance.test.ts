import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING, type RawClient } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

async function grant(connection: RawClient): Promise<void> {
  await connection.head()
  connection.write(SWITCHING)
}

describe('balance', () => {
  it('spreads tunnels by the number that is open', async () => {
    await using a = await scriptedUpstream(grant)
    await using b = await scriptedUpstream(grant)
    await using gateway = await startTestGateway(`routes: [{ upstream: ["${a.url}", "${b.url}"] }]`)
    const clients: RawClient[] = []
    for (let index = 0; index < 6; index += 1) {
      const client = await rawClient(gateway.port)
      clients.push(client)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
    }
    assert.deepEqual([a.connections, b.connections], [3, 3])
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('goes on to the next endpoint when one refuses, and sets that one aside', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`
    await using alive = await scriptedUpstream(grant)
    await using gateway = await startTestGateway(
      `upstreams: { u: { endpoints: ["${dead}", "${alive.url}"], balance: round-robin } }\nroutes: [{ upstream: u }]`,
    )
    for (let index = 0; index < 4; index += 1) {
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
    }
    assert.equal(alive.connections, 4)
    assert.equal(await gateway.metric('upgate_endpoint_up', { endpoint: dead }), 0)
    assert.equal(await gateway.metric('upgate_endpoint_up', { endpoint: alive.url }), 1)
  })

  it('tries an endpoint although all are set aside', async () => {
    const [a, b] = [await freePort(), await freePort()]
    await using gateway = await startTestGateway(
      `routes: [{ upstream: ["http://127.0.0.1:${a}", "http://127.0.0.1:${b}"] }]`,
    )
    await using client = await rawClient(gateway.port)
    for (let turn = 0; turn < 2; turn += 1) {
      client.write(handshake())
      assert.equal((await client.answer()).status, 502)
    }
  })

  it('answers 503 with Retry-After when every endpoint is set aside and none is to be tried then', async () => {
    const [a, b] = [await freePort(), await freePort()]
    await using gateway = await startTestGateway(
      `upstreams: { u: { endpoints: ["http://127.0.0.1:${a}", "http://127.0.0.1:${b}"], health: { whenAllDown: refuse } } }\nroutes: [{ upstream: u }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.answer()).status, 502)
    client.write(handshake())
    const refused = await client.answer()
    assert.equal(refused.status, 503)
    assert.match(refused.fields.get('retry-after') ?? '', /^[1-9]\d*$/)
    await gateway.log('request', { code: 'E_ENDPOINT_NONE' })
  })

  it('does not send a request with a body to a second endpoint once the first may have read it', async () => {
    await using broken = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.resetAndDestroy()
    })
    await using other = await scriptedUpstream(() => {
      throw new Error('the body was sent twice')
    })
    await using gateway = await startTestGateway(
      `upstreams: { u: { endpoints: ["${broken.url}", "${other.url}"], balance: round-robin } }\nroutes: [{ upgrade: [tcp], upstream: u }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\nab',
    )
    assert.equal((await client.answer()).status, 502)
    assert.equal(other.connections, 0)
  })

  it('keeps a client on its endpoint with hash', async () => {
    await using a = await scriptedUpstream(grant)
    await using b = await scriptedUpstream(grant)
    await using gateway = await startTestGateway(
      `upstreams: { u: { endpoints: ["${a.url}", "${b.url}"], balance: { hash: "cookie:sid" } } }\nroutes: [{ upstream: u }]`,
    )
    for (let index = 0; index < 5; index += 1) {
      await using client = await rawClient(gateway.port)
      client.write(handshake('/', ['Cookie: sid=abc']))
      await client.head()
    }
    assert.deepEqual(new Set([a.connections, b.connections]), new Set([0, 5]))
  })
})
