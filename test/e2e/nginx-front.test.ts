import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { startTestGateway } from '../support/gateway.ts'
import { nginx, startNginx, type Nginx } from '../support/nginx.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'

const TRUST = 'trustedProxies: ["127.0.0.1"]'

function frontNginx(location: string): Promise<Nginx> {
  return startNginx(`location / { ${location} }`)
}

/** The status and body that a WebSocket client gets in place of a 101. */
async function refusal(url: string): Promise<{ status: number | undefined; body: string }> {
  const socket = new WebSocket(url)
  const [request, response] = (await once(socket, 'unexpected-response')) as [
    { destroy(): void },
    IncomingMessage,
  ]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  request.destroy()
  return { status: response.statusCode, body }
}

for (const { version, directive } of [
  { version: '1.0', directive: '' },
  { version: '1.1', directive: 'proxy_http_version 1.1; ' },
]) {
  describe(`behind an nginx with nothing but proxy_pass, HTTP/${version}`, () => {
    const options = { skip: nginx.skip }

    it('lets a WebSocket client through when nginx is a trusted proxy', options, async () => {
      await using server = await wsServer({
        perMessageDeflate: true,
        handleProtocols: () => 'chat',
      })
      await using gateway = await startTestGateway(
        `${TRUST}\nroutes: [{ upstream: "${server.url}" }]`,
      )
      await using front = await frontNginx(
        `${directive}proxy_pass http://127.0.0.1:${gateway.port};`,
      )
      await using client = await wsClient(`ws://127.0.0.1:${front.port}/room?n=1`, ['chat'])
      assert.equal(client.socket.protocol, 'chat')
      assert.match(client.socket.extensions, /permessage-deflate/)
      const message = randomBytes(1024 * 1024)
      client.socket.send(message)
      assert.deepEqual((await client.message()).data, message)
      client.socket.close(4005, 'enough')
      assert.deepEqual(await client.closed(), { code: 4005, reason: 'enough' })
      const open = await gateway.log('tunnel open')
      assert.equal(open['path'], '/room')
    })

    it('forwards other requests of a trusted nginx as what they are', options, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        const request = await connection.head()
        assert.ok(!request.fields.has('upgrade'))
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
      })
      await using gateway = await startTestGateway(
        `${TRUST}\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      await using front = await frontNginx(
        `${directive}proxy_pass http://127.0.0.1:${gateway.port};`,
      )
      const response = await fetch(`http://127.0.0.1:${front.port}/page`)
      assert.equal(response.status, 200)
      assert.equal(await response.text(), 'plain')
    })

    it(
      'answers 426 to a stripped handshake when nginx is not trusted and only upgrades are served',
      options,
      async () => {
        await using server = await wsServer()
        await using gateway = await startTestGateway(
          `routes: [{ http: false, upstream: "${server.url}" }]`,
        )
        await using front = await frontNginx(
          `${directive}proxy_pass http://127.0.0.1:${gateway.port};`,
        )
        const { status, body } = await refusal(`ws://127.0.0.1:${front.port}/`)
        assert.equal(status, 426)
        const { clientIp, cause } = await gateway.log('handshake without its Upgrade')
        assert.equal(clientIp, '127.0.0.1')
        assert.match(String(cause), /add 127\.0\.0\.1 to trustedProxies$/)
        assert.equal((await gateway.log('request', { status: 426 }))['cause'], cause)
        assert.equal((JSON.parse(body) as { code: string }).code, 'E_UPGRADE_REQUIRED')
      },
    )

    it(
      'takes a stripped handshake for a plain request when nginx is not trusted',
      options,
      async () => {
        await using upstream = await scriptedUpstream(async (connection) => {
          const request = await connection.head()
          assert.ok(!request.fields.has('upgrade'))
          connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
        })
        await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
        await using front = await frontNginx(
          `${directive}proxy_pass http://127.0.0.1:${gateway.port};`,
        )
        assert.deepEqual(await refusal(`ws://127.0.0.1:${front.port}/`), {
          status: 200,
          body: 'plain',
        })
      },
    )
  })
}

describe('behind an nginx that passes the upgrade on', () => {
  it('serves a WebSocket client without any trust', { skip: nginx.skip }, async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(`routes: [{ upstream: "${server.url}" }]`)
    await using front = await frontNginx(
      `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_pass http://127.0.0.1:${gateway.port};`,
    )
    await using client = await wsClient(`ws://127.0.0.1:${front.port}/`)
    client.socket.send('hello')
    assert.equal((await client.message()).data.toString(), 'hello')
  })
})
