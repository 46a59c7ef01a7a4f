/** HAProxy on both sides: in front it turns WebSockets into extended CONNECTs (RFC 8441), behind it takes them by HTTP/1.1 and by HTTP/2. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { websocketAccept } from '../../src/handshake/switch.ts'
import { startTestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { handshake, rawClient, SWITCHING, WEBSOCKET_ACCEPT } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { secureServer } from '../support/secure-server.ts'
import { wsClient } from '../support/ws-server.ts'

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

const files = { 'cert.pem': tlsFile('cert.pem'), 'key.pem': tlsFile('key.pem') }
const TLS = 'tls: { cert: cert.pem, key: key.pem, http2: true }'

/** What stands behind the address of the gateway, and the versions by which it is spoken to. */
const FRONTS = [
  { send: 'proto h2 ws h2', listener: 'h2c: true', webSocket: '2.0', request: '2.0' },
  {
    send: 'ssl verify none alpn h2,http/1.1 ws h2',
    listener: TLS,
    webSocket: '2.0',
    request: '2.0',
  },
  // What HAProxy does by itself: WebSockets by HTTP/1.1, since not every server takes them otherwise.
  {
    send: 'ssl verify none alpn h2,http/1.1',
    listener: TLS,
    webSocket: undefined,
    request: '2.0',
  },
] as const

const BEHINDS = [
  { bind: '', http2: false, version: undefined },
  { bind: 'proto h2', http2: true, version: '2.0' },
] as const

describe('a gateway between two HAProxies', { skip: haproxy.skip }, () => {
  for (const { send, listener, webSocket, request } of FRONTS) {
    for (const { bind, http2, version } of BEHINDS) {
      it(`serves ${send}, and goes on by HTTP/${version ?? '1.1'}`, async () => {
        await using server = await secureServer()
        await using behind = await startHaproxy({
          mode: 'http',
          server: Number(new URL(server.url).port),
          send: 'ssl verify none',
          bind,
        })
        await using gateway = await startTestGateway(
          `listeners: [{ address: "127.0.0.1:0", ${listener} }]
upstreams: { app: { endpoints: [{ url: "http://127.0.0.1:${behind.port}", http2: ${http2} }] } }
routes: [{ upstream: app }]`,
          files,
        )
        await using front = await startHaproxy({ mode: 'http', server: gateway.port, send })
        const answer = await fetch(`http://127.0.0.1:${front.port}/page`)
        assert.deepEqual([answer.status, await answer.text()], [200, 'ok'])
        const line = await gateway.log('request', { path: '/page' })
        assert.deepEqual([line['httpVersion'], line['endpointHttpVersion']], [request, version])

        await using client = await wsClient(`ws://127.0.0.1:${front.port}/chat`)
        const message = Buffer.alloc(1024 * 1024, 'through HAProxy')
        client.socket.send(message)
        assert.deepEqual((await client.message()).data, message)
        client.socket.close(1000, 'bye')
        assert.deepEqual(await client.closed(), { code: 1000, reason: 'bye' })
        const close = await gateway.log('tunnel close', { path: '/chat' })
        assert.deepEqual(
          [close['protocol'], close['httpVersion'], close['endpointHttpVersion']],
          ['websocket', webSocket, version],
        )
        assert.deepEqual([close['wsCloseBy'], close['wsCloseCode']], ['client', 1000])
      })
    }
  }
})

describe('a server behind HAProxy that closes first', { skip: haproxy.skip }, () => {
  // By HTTP/2 HAProxy sends RST_STREAM behind END_STREAM then.
  for (const { bind, http2, version } of BEHINDS) {
    it(`is heard to its end by HTTP/${version ?? '1.1'}, and ends its tunnel in peace`, async () => {
      const last = Buffer.alloc(4 * 1024 ** 2, 'the last words ').toString('latin1')
      await using server = await scriptedUpstream(async (connection) => {
        const { fields } = await connection.head()
        const accept = websocketAccept(fields.get('sec-websocket-key') ?? '')
        connection.write(SWITCHING.replace(WEBSOCKET_ACCEPT, accept))
        connection.write(last)
        connection.socket.end()
      })
      await using behind = await startHaproxy({
        mode: 'http',
        server: Number(new URL(server.url).port),
        bind,
      })
      await using gateway = await startTestGateway(
        `upstreams: { app: { endpoints: [{ url: "http://127.0.0.1:${behind.port}", http2: ${http2} }] } }
routes: [{ upstream: app }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      assert.equal(await client.rest(), last)
      client.socket.end()
      await gateway.log('tunnel close', { by: 'upstream', reason: 'eof' })
    })
  }
})
