import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { http2Client } from '../support/http2-client.ts'
import { handshake, rawClient } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

/** All but X-Sum and grpc-status mean something as fields, or are made by the gateway. */
const trailers = [
  'X-Sum: 1',
  'X-Auth-User: root',
  'X_Auth_User: root',
  'X-Real-IP: 10.1.2.3',
  'X_Forwarded_For: 10.1.2.3',
  'X~Request~Id: evil',
  'X-Original-URL: /admin',
  'Via: 1.1 nobody',
  'X-Env: evil',
  'X-Debug: 1',
  'Content-Length: 5',
  'Content_Length: 5',
  'Transfer-Encoding: chunked',
  'Host: evil',
  'Set-Cookie: a=b',
  'grpc-status: 0',
]

const kept = ['X-Sum: 1', 'grpc-status: 0']

/** The body with the trailers that go on. */
const passed = `2\r\nok\r\n0\r\n${kept.join('\r\n')}\r\n\r\n`

const headers = `headers: { request: { set: { X-Env: prod }, remove: [X-Debug] }, response: { set: { X-Env: prod }, remove: [X-Debug] } }`

/** An authorization server that says yes. */
async function saysYes(): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = http.createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

describe('trailers', () => {
  it('of a request lose what its fields lose', async () => {
    let seen = ''
    await using auth = await saysYes()
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      seen = await connection.bytes(passed.length)
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    await using gateway = await startTestGateway(
      `auth: { portal: { type: forward, url: "${auth.url}", copy: [X-Role] } }
routes: [{ auth: [portal], ${headers}, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX.Role: root\r\n${trailers.join('\r\n')}\r\n\r\n`,
    )
    assert.equal((await client.answer()).status, 200)
    assert.equal(seen, passed)
  })

  it('of a request to upgrade lose the same, and so do those of an answer that declines', async () => {
    let seen = ''
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      seen = await connection.bytes(passed.length)
      connection.write(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`,
      )
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp], ${headers}, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      `POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`,
    )
    assert.equal((await client.head()).status, 200)
    assert.equal(seen, passed)
    assert.equal(await client.bytes(passed.length), passed)
  })

  for (const over of ['HTTP/1.1', 'HTTP/1.1 to a handshake', 'HTTP/2'] as const) {
    it(`of an answer lose what its fields lose, and the answer is whole (${over})`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n${trailers.join('\r\n')}\r\n\r\n`,
        )
      })
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0", h2c: true }]
routes: [{ ${headers}, upstream: "${upstream.url}" }]`,
      )
      if (over === 'HTTP/2') {
        await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
        const answer = await client.ask('/')
        assert.deepEqual([answer.status, String(answer.body)], [200, 'ok'])
        const names = Object.keys(answer.trailers)
        assert.deepEqual(names.toSorted(), ['grpc-status', 'x-sum'])
      } else {
        await using client = await rawClient(gateway.port)
        client.write(over === 'HTTP/1.1' ? 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' : handshake())
        assert.equal((await client.head()).status, 200)
        assert.equal(await client.bytes(passed.length), passed)
      }
    })
  }
})
