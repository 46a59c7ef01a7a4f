/** HAProxy in front: it speaks HTTP/2 to the gateway, and turns WebSockets into extended CONNECTs. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { wsClient } from '../support/ws-server.ts'

describe('HAProxy with proto h2 in front of a gateway', () => {
  it(
    'carries WebSockets and plain requests of HTTP/1.1 clients',
    { skip: haproxy.skip },
    async () => {
      await using gateway = await startTestGateway(`
      listeners: [{ address: "127.0.0.1:0", h2c: true }]
      routes: [{ name: echo, upstream: "builtin:echo" }]`)
      const send = 'proto h2 ws h2'
      await using front = await startHaproxy({ mode: 'http', server: gateway.port, send })
      const answer = await fetch(`http://127.0.0.1:${front.port}/page`)
      assert.equal(answer.status, 200)
      await answer.arrayBuffer()
      await gateway.log('request', { path: '/page', httpVersion: '2.0' })
      {
        await using client = await wsClient(`ws://127.0.0.1:${front.port}/chat`)
        client.socket.send('through HAProxy')
        assert.equal((await client.message()).data.toString(), 'through HAProxy')
        client.socket.close(1000, 'bye')
        assert.equal((await client.closed()).code, 1000)
      }
      const close = await gateway.log('tunnel close', { path: '/chat' })
      assert.deepEqual(
        [close['protocol'], close['httpVersion'], close['wsCloseCode']],
        ['websocket', '2.0', 1000],
      )
    },
  )
})
