/** What every tunnel has, a tunnel to an endpoint that speaks HTTP/2 has as well. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { SignJWT } from 'jose'
import type { WebSocket } from 'ws'
import type { UpstreamList } from '../../src/admin/upstream-operations.ts'
import type { TunnelList } from '../../src/admin/tunnel-operations.ts'
import { Crowd } from '../support/crowd.ts'
import { freePort } from '../support/free-port.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import {
  clientOf,
  endpointOf,
  listenerOf,
  type Endpoint,
  type HttpVersion,
  type OnWebSocket,
  type TestClient,
} from '../support/http-versions.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { settled } from '../support/settled.ts'

const VERSIONS: readonly HttpVersion[] = ['1.1', '2']
const FLOOD_MESSAGES = 512
/** Of 64 KiB each: what windows, sockets and the gateway may hold. */
const HELD_MESSAGES_MAX = 384
const SECRET = 'a secret of at least thirty-two bytes'

interface Config {
  /** Of the upstream, besides its endpoints. */
  readonly upstream?: string
  /** Of the route. */
  readonly route?: string
  /** Whole lines. */
  readonly more?: string
}

function configOf(
  entries: readonly string[],
  { upstream = '', route = '', more = '' }: Config = {},
): string {
  return `${listenerOf(false)}
upstreams: { app: { endpoints: [${entries.join(', ')}]${upstream} } }
routes: [{ name: app, upstream: app${route} }]
${more}`
}

function gatewayTo(endpoints: readonly Endpoint[], config: Config = {}): Promise<TestGateway> {
  return startTestGateway(
    configOf(
      endpoints.map(({ entry }) => entry),
      config,
    ),
  )
}

function http2EndpointOf(onWebSocket?: OnWebSocket): Promise<Endpoint> {
  const options = { endpoint: '2', isSecure: false } as const
  return endpointOf(onWebSocket === undefined ? options : { ...options, onWebSocket })
}

function clientTo(gateway: TestGateway, client: HttpVersion): Promise<TestClient> {
  return clientOf(gateway, { client, endpoint: '2', isSecure: false })
}

async function call<Body = Record<string, unknown>>(
  { adminPort }: TestGateway,
  method: string,
  path: string,
  body?: object,
): Promise<Body> {
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return (await response.json()) as Body
}

/** Sends everything back, and knows how each WebSocket was closed. */
class Echo {
  readonly codes: number[] = []
  readonly pings: number[] = []
  readonly #wakes: (() => void)[] = []

  readonly onWebSocket = (socket: WebSocket): void => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    socket.on('ping', () => {
      this.pings.push(performance.now())
      this.#wake()
    })
    socket.on('close', (code) => {
      this.codes.push(code)
      this.#wake()
    })
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#wakes.push(resolve))
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake()
  }
}

/** How a gateway ends a tunnel, and with which code. */
const ENDINGS: readonly {
  readonly name: string
  readonly route?: string
  readonly more?: string
  readonly act?: (gateway: TestGateway) => Promise<unknown>
  readonly code: number
  readonly by?: string
  readonly reason: string
}[] = [
  { name: 'is idle', route: ', timeouts: { idle: 100ms }', code: 1001, reason: 'idle' },
  { name: 'is too old', route: ', timeouts: { lifetime: 100ms }', code: 1001, reason: 'lifetime' },
  {
    name: 'is drained by a stop',
    more: 'shutdown: { drain: 50ms }',
    act: ({ gateway }) => gateway.stop(),
    code: 1001,
    reason: 'drain',
  },
  {
    name: 'has lost its endpoint by a reload',
    more: 'shutdown: { drain: 50ms }',
    act: (gateway) => gateway.reload(configOf(['http://127.0.0.1:1'])),
    code: 1012,
    reason: 'reload',
  },
  {
    name: 'is killed through the API',
    act: async (gateway) => {
      const { tunnels } = await call<TunnelList>(gateway, 'GET', '/api/tunnels?protocol=websocket')
      await call(gateway, 'DELETE', `/api/tunnels/${tunnels[0]?.id}`, { code: 4009, reason: 'now' })
    },
    code: 4009,
    by: 'admin',
    reason: 'kill',
  },
  {
    name: 'is of an endpoint that is emptied',
    act: async (gateway) => {
      const { upstreams } = await call<UpstreamList>(gateway, 'GET', '/api/upstreams')
      const id = upstreams[0]?.endpoints[0]?.id
      await call(gateway, 'POST', `/api/endpoints/${id}/drain`, { close: true, over: '0s' })
    },
    code: 1001,
    by: 'admin',
    reason: 'drain',
  },
]

for (const version of VERSIONS) {
  describe(`a tunnel of HTTP/${version} to an endpoint with HTTP/2`, () => {
    for (const { name, route = '', more = '', act, code, by = 'gateway', reason } of ENDINGS) {
      it(`ends with ${code} on both sides when it ${name}`, async () => {
        const echo = new Echo()
        await using endpoint = await http2EndpointOf(echo.onWebSocket)
        await using gateway = await gatewayTo([endpoint], { route, more })
        await using client = await clientTo(gateway, version)
        await using chat = await client.webSocket('/')
        chat.socket.send('hello')
        assert.equal((await chat.message()).data.toString(), 'hello')
        await act?.(gateway)
        assert.equal((await chat.closed()).code, code)
        await echo.until(() => echo.codes.length > 0)
        assert.deepEqual(echo.codes, [code])
        const line = await gateway.log('tunnel close', { by, reason })
        assert.deepEqual(
          [
            line['endpointHttpVersion'],
            line['messagesUp'],
            line['messagesDown'],
            line['wsCloseCode'],
          ],
          ['2.0', 1, 1, code],
        )
      })
    }

    it('is held open by pings to both, and closed when the endpoint answers none', async () => {
      const echo = new Echo()
      const sockets: WebSocket[] = []
      await using endpoint = await http2EndpointOf((socket, path) => {
        echo.onWebSocket(socket)
        if (path === '/deaf') sockets.push(socket)
      })
      await using gateway = await gatewayTo([endpoint], {
        route: ', keepalive: { ping: 100ms, timeout: 500ms, upstream: true }',
      })
      await using client = await clientTo(gateway, version)
      await using chat = await client.webSocket('/')
      const pinged = once(chat.socket, 'ping')
      await echo.until(() => echo.pings.length > 1)
      await pinged
      chat.socket.send('alive')
      await chat.message()
      await using deaf = await client.webSocket('/deaf')
      for (const socket of sockets) socket.pause()
      await deaf.closed()
      const line = await gateway.log('tunnel close', { path: '/deaf', reason: 'dead' })
      assert.deepEqual([line['by'], line['endpointHttpVersion']], ['gateway', '2.0'])
      assert.equal(chat.socket.readyState, chat.socket.OPEN)
    })

    it('is listed and counted while it is open', async () => {
      await using endpoint = await http2EndpointOf()
      await using gateway = await gatewayTo([endpoint])
      await using client = await clientTo(gateway, version)
      await using chat = await client.webSocket('/chat')
      chat.socket.send(Buffer.alloc(70_000))
      await chat.message()
      const labels = { endpoint: endpoint.url }
      assert.equal(await gateway.metric('upgate_tunnels_open', labels), 1)
      assert.equal(await gateway.metric('upgate_upstream_http2_connections', labels), 1)
      for (const direction of ['up', 'down']) {
        assert.ok((await gateway.metric('upgate_tunnel_bytes_total', { direction })) > 70_000)
      }
      const { tunnels } = await call<TunnelList>(gateway, 'GET', '/api/tunnels')
      const [tunnel] = tunnels
      assert.deepEqual(
        [tunnel?.endpoint, tunnel?.path, tunnel?.protocol, tunnel?.messages?.up.binary],
        [endpoint.url, '/chat', 'websocket', 1],
      )
      assert.ok((tunnel?.bytesUp ?? 0) > 70_000 && (tunnel?.bytesDown ?? 0) > 70_000)
      const open = await gateway.log('tunnel open')
      assert.deepEqual([open['endpoint'], open['endpointHttpVersion']], [endpoint.url, '2.0'])
      await chat[Symbol.asyncDispose]()
      await gateway.log('tunnel close', { by: 'client' })
      assert.equal(await gateway.metric('upgate_tunnels_open', labels), 0)
      assert.equal(await gateway.metric('upgate_upstream_http2_connections', labels), 1)
    })

    it('moves as fast as its slower side', async () => {
      let sent = 0
      const message = Buffer.alloc(65_536)
      await using endpoint = await http2EndpointOf(async (socket) => {
        for (; sent < FLOOD_MESSAGES; sent += 1) {
          await new Promise((resolve) => socket.send(message, resolve))
        }
        socket.close(1000)
      })
      await using gateway = await gatewayTo([endpoint])
      await using client = await clientTo(gateway, version)
      await using chat = await client.webSocket('/')
      chat.socket.pause()
      const held = await settled(() => sent)
      assert.ok(held < HELD_MESSAGES_MAX, `${held} messages are on the way`)
      chat.socket.resume()
      assert.equal((await chat.closed()).code, 1000)
      const line = await gateway.log('tunnel close')
      assert.equal(line['messagesDown'], FLOOD_MESSAGES)
    })
  })
}

describe('endpoints with HTTP/2', () => {
  it('lose a tunnel when the credentials that opened it end', async () => {
    const echo = new Echo()
    await using endpoint = await http2EndpointOf(echo.onWebSocket)
    await using gateway = await gatewayTo([endpoint], {
      route: ', auth: [people]',
      more: `auth: { people: { type: jwt, from: ["query:token"], secret: "${SECRET}", clockTolerance: 0s } }`,
    })
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(Date.now() / 1000) + 2)
      .sign(new TextEncoder().encode(SECRET))
    await using client = await clientTo(gateway, '2')
    await assert.rejects(client.webSocket('/?token=wrong'), /401/)
    assert.equal(endpoint.connections, 0)
    await using chat = await client.webSocket(`/?token=${token}`)
    assert.equal((await chat.closed()).code, 1008)
    await echo.until(() => echo.codes.length > 0)
    assert.deepEqual(echo.codes, [1008])
    await gateway.log('tunnel close', { by: 'gateway', reason: 'expired' })
  })

  it('get tunnels by the number that is open', async () => {
    await using a = await http2Endpoint()
    await using b = await http2Endpoint()
    await using gateway = await startTestGateway(
      configOf([a, b].map(({ url }) => `{ url: "${url}", http2: true }`)),
    )
    await using crowd = await Crowd.open(`ws://127.0.0.1:${gateway.port}/`, 6)
    assert.deepEqual([a.streams.length, b.streams.length, crowd.size], [3, 3, 6])
    assert.deepEqual([a.sessions.length, b.sessions.length], [1, 1])
  })

  it('share again what was opened when there was one of them', async () => {
    await using a = await http2Endpoint()
    await using b = await http2Endpoint()
    const entries = [a, b].map(({ url }) => `{ url: "${url}", http2: true }`)
    const config = { upstream: ', rebalance: { rate: 8, spread: 10% }' }
    await using gateway = await startTestGateway(configOf(entries.slice(0, 1), config))
    const url = `ws://127.0.0.1:${gateway.port}/`
    await using crowd = await Crowd.open(url, 20, { backAfterMs: 20 })
    await gateway.reload(configOf(entries, config))
    while (b.streams.length < 9) await gateway.metrics()
    assert.ok(crowd.closings.every(({ code }) => code === 1012))
    await gateway.log('tunnel close', { by: 'gateway', reason: 'rebalance' })
    assert.equal(a.sessions.length + b.sessions.length, 2)
  })

  it('are passed over and set aside while they are down, and come back', async () => {
    const port = await freePort()
    const dead = `http://127.0.0.1:${port}`
    await using alive = await http2EndpointOf()
    await using gateway = await startTestGateway(
      configOf([`{ url: "${dead}", http2: true }`, alive.entry], {
        upstream: ', balance: round-robin, health: { setAside: 50ms, setAsideMax: 50ms }',
      }),
    )
    await using client = await clientTo(gateway, '1.1')
    for (let index = 0; index < 2; index += 1) {
      await using chat = await client.webSocket('/')
      chat.socket.send('hello')
      await chat.message()
      assert.equal((await client.ask('/')).status, 200)
    }
    await gateway.log('endpoint down', { endpoint: dead })
    assert.equal(await gateway.metric('upgate_endpoint_up', { endpoint: dead }), 0)
    await using back = await endpointOf({ endpoint: '2', isSecure: false, port })
    while (back.connections === 0) await (await client.webSocket('/'))[Symbol.asyncDispose]()
    await gateway.log('endpoint up', { endpoint: dead })
  })

  it('are passed over when they close before a word', async () => {
    await using closing = await scriptedUpstream((connection) => {
      connection.socket.end()
    })
    await using alive = await http2EndpointOf()
    const entry = `{ url: "${closing.url}", http2: true }`
    for (const ask of [
      async (client: TestClient) => assert.equal((await client.ask('/')).status, 200),
      async (client: TestClient) => (await client.webSocket('/'))[Symbol.asyncDispose](),
    ]) {
      const upstream = ', balance: round-robin'
      await using gateway = await startTestGateway(configOf([entry, alive.entry], { upstream }))
      await using client = await clientTo(gateway, '2')
      for (let index = 0; index < 2; index += 1) await ask(client)
      await gateway.log('endpoint down', { endpoint: closing.url })
    }
  })

  it('that speak something else are told of', async () => {
    await using old = await endpointOf({ endpoint: '1.1', isSecure: false })
    const entry = `{ url: "${old.url}", http2: true }`
    await using gateway = await startTestGateway(configOf([entry]))
    await using client = await clientTo(gateway, '2')
    const answer = await client.ask('/plain')
    const { code } = JSON.parse(answer.body.toString()) as { readonly code: string }
    assert.deepEqual([answer.status, code], [502, 'E_UPSTREAM_PROTOCOL'])
    await gateway.log('endpoint down', { endpoint: old.url })
    const line = await gateway.log('request', { path: '/plain' })
    assert.match(String(line['cause']), /no answer in HTTP\/2 with prior knowledge/)
  })

  it('hear nothing of what checks and limits refuse', async () => {
    const portal = createServer((request, response) => {
      response.writeHead(request.headers['authorization'] === 'Bearer yes' ? 200 : 401).end()
    }).listen(0, '127.0.0.1')
    await once(portal, 'listening')
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => {
      portal.closeAllConnections()
      portal.close()
      await once(portal, 'close')
    })
    const url = `http://127.0.0.1:${(portal.address() as AddressInfo).port}/`
    await using endpoint = await http2Endpoint()
    await using gateway = await startTestGateway(
      configOf([`{ url: "${endpoint.url}", http2: true }`], {
        route: ', auth: [portal], limits: { tunnels: 1 }',
        more: `auth: { portal: { type: forward, url: "${url}" } }`,
      }),
    )
    await using client = await clientTo(gateway, '2')
    assert.equal((await client.ask('/')).status, 401)
    await assert.rejects(client.webSocket('/'), /401/)
    assert.equal(endpoint.sessions.length, 0)
    const headers = { Authorization: 'Bearer yes' }
    await using chat = await client.webSocket('/', { headers })
    await assert.rejects(client.webSocket('/', { headers }), /503/)
    assert.equal(endpoint.streams.length, 1)
    assert.equal(chat.socket.readyState, chat.socket.OPEN)
  })
})
