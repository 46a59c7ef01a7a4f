import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { withNative } from '../support/test-relay.ts'

const NATIVE = 'relay: { engine: native }'

describe('a handshake that the relay has heard itself', withNative, () => {
  it('goes to the next endpoint when one leaves without an answer', async () => {
    await using leaving = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.end()
    })
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(SWITCHING)
      connection.write(await connection.bytes(4))
    })
    for (let round = 0; round < 50; round += 1) {
      await using gateway = await startTestGateway(
        `${NATIVE}\nroutes: [{ upstream: ["${leaving.url}", "${upstream.url}"] }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(`${handshake()}ping`)
      assert.equal((await client.head()).status, 101)
      assert.equal(await client.bytes(4), 'ping')
    }
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
})
