import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ReloadAnswer, RouteList } from '../../src/admin/gateway-operations.ts'
import type { TunnelJson } from '../../src/admin/tunnel-json.ts'
import type { TunnelList } from '../../src/admin/tunnel-operations.ts'
import type {
  DrainAnswer,
  RebalanceJson,
  UpstreamList,
} from '../../src/admin/upstream-operations.ts'
import { callApi, type Answered, type CallOptions } from '../admin/fake-api.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { assertDocumented } from '../support/openapi-answers.ts'
import { handshake, rawClient } from '../support/raw-client.ts'
import { grantingUpstream, scriptedUpstream } from '../support/scripted-upstream.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'

/** One call, whose answer is as the document says. */
async function call<Body = Record<string, unknown>>(
  { adminPort: port }: TestGateway,
  method: string,
  target: string,
  options: CallOptions = {},
): Promise<Answered<Body>> {
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const
  const answer = await callApi<Body>(address, method, target, options)
  assertDocumented(method, target.split('?')[0] ?? '', answer)
  return answer
}

/** The first page of tunnels, once it is as it should be: the gateway may hear of a close after its client. */
async function tunnels(
  gateway: TestGateway,
  query: string,
  isThere: (list: TunnelList) => boolean = () => true,
): Promise<readonly TunnelJson[]> {
  for (;;) {
    const { body } = await call<TunnelList>(gateway, 'GET', `/api/tunnels?${query}`)
    if (isThere(body)) return body.tunnels
  }
}

function yaml(servers: readonly { readonly url: string }[], more = ''): string {
  const urls = servers.map(({ url }) => url).join(', ')
  return `
upstreams: { chat: { endpoints: [${urls}] } }
routes:
  - { name: chat, match: { path: /chat }, upstream: chat, limits: { tunnels: 50 } }
  - { name: raw, upgrade: any, upstream: chat }
${more}`
}

function chat(gateway: TestGateway, query = '') {
  return wsClient(`ws://127.0.0.1:${gateway.port}/chat${query}`)
}

describe('the admin API of a gateway', () => {
  it('shows a tunnel with its messages, and nothing secret', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(yaml([server]))
    await using client = await chat(gateway, '?access_token=hidden')
    client.socket.send('hello')
    client.socket.send(Buffer.alloc(70_000))
    await client.message()
    await client.message()
    const [tunnel] = await tunnels(
      gateway,
      'route=chat&protocol=websocket',
      ({ tunnels: [one] }) => one?.messages === null || one?.messages.down.binary === 1,
    )
    assert.ok(tunnel !== undefined)
    const line = await gateway.log('tunnel open')
    assert.deepEqual([tunnel.id, tunnel.requestId], [line['tunnelId'], line['requestId']])
    assert.deepEqual(
      [tunnel.route, tunnel.upstream, tunnel.endpoint, tunnel.client, tunnel.path, tunnel.method],
      ['chat', 'chat', server.url, '127.0.0.1', '/chat', 'GET'],
    )
    assert.ok(tunnel.bytesUp > 70_000 && tunnel.bytesDown > 70_000)
    assert.deepEqual([tunnel.messages?.up.text, tunnel.messages?.up.binary], [1, 1])
    assert.deepEqual([tunnel.messages?.down.text, tunnel.messages?.down.blind], [1, false])
    assert.ok((tunnel.firstByteMs.up ?? -1) >= 0 && (tunnel.firstByteMs.down ?? -1) >= 0)
    assert.ok(!JSON.stringify(tunnel).includes('hidden'))
    const single = await call<TunnelJson>(gateway, 'GET', `/api/tunnels/${tunnel.id.slice(0, 13)}`)
    assert.deepEqual([single.status, single.body.id], [200, tunnel.id])
  })

  it('closes a tunnel with the code and the text that are asked for', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(yaml([server]))
    await using client = await chat(gateway)
    await using other = await chat(gateway)
    const [first] = await tunnels(gateway, '', ({ total }) => total === 2)
    const closed = client.closed()
    const { status, body } = await call(gateway, 'DELETE', `/api/tunnels/${first?.id}`, {
      body: { code: 4009, reason: 'by hand' },
    })
    assert.deepEqual([status, body['closing']], [202, 1])
    assert.deepEqual(await closed, { code: 4009, reason: 'by hand' })
    const line = await gateway.log('tunnel close')
    assert.deepEqual([line['tunnelId'], line['by'], line['reason']], [first?.id, 'admin', 'kill'])
    await gateway.log('admin action', { action: 'close', tunnelId: first?.id, by: '127.0.0.1' })
    assert.equal(other.socket.readyState, other.socket.OPEN)
  })

  it('closes those that a filter means, with the frame of their route', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(
      yaml([server], 'defaults: { close: { kill: { code: 4100, text: gone } } }'),
    )
    await using client = await chat(gateway)
    await using raw = await rawClient(gateway.port)
    raw.write(handshake('/other'))
    await raw.head()
    await tunnels(gateway, '', ({ total }) => total === 2)
    const closed = client.closed()
    const { body } = await call(gateway, 'DELETE', '/api/tunnels?route=chat&client=127.0.0.0/8')
    assert.deepEqual([body['matched'], body['closing']], [1, 1])
    assert.deepEqual(await closed, { code: 4100, reason: 'gone' })
    const left = await tunnels(gateway, '', ({ total }) => total === 1)
    assert.equal(left[0]?.route, 'raw')
  })

  it('closes a tunnel of another protocol', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
      await connection.rest()
      connection.socket.end()
    })
    await using gateway = await startTestGateway(yaml([upstream]))
    await using client = await rawClient(gateway.port)
    client.write('POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
    await client.head()
    const [tunnel] = await tunnels(gateway, 'protocol=tcp', ({ total }) => total === 1)
    assert.deepEqual([tunnel?.messages, tunnel?.method], [null, 'POST'])
    await call(gateway, 'DELETE', '/api/tunnels?all=true')
    assert.equal(await client.rest(), '')
    client.socket.end()
    await gateway.log('tunnel close', { by: 'admin', reason: 'kill' })
  })

  it('empties an endpoint and takes it back', async () => {
    await using one = await wsServer()
    await using two = await wsServer()
    await using gateway = await startTestGateway(yaml([one, two]))
    const endpoints = async () => {
      const { body } = await call<UpstreamList>(gateway, 'GET', '/api/upstreams')
      return body.upstreams[0]?.endpoints ?? []
    }
    await using first = await chat(gateway)
    const [tunnel] = await tunnels(gateway, '', ({ total }) => total === 1)
    const at = (await endpoints()).find(({ url }) => url === tunnel?.endpoint)
    assert.deepEqual([at?.tunnels, at?.up, at?.draining], [1, true, false])
    const closed = first.closed()
    const { body } = await call<DrainAnswer>(gateway, 'POST', `/api/endpoints/${at?.id}/drain`, {
      body: { close: true },
    })
    assert.deepEqual([body.closing, body.endpoint.draining], [1, true])
    assert.equal((await closed).code, 1001)
    await gateway.log('endpoint drain', { endpoint: at?.url })
    await using second = await chat(gateway)
    await using third = await chat(gateway)
    const others = await tunnels(gateway, '', ({ total }) => total === 2)
    assert.ok(others.every(({ endpoint }) => endpoint !== at?.url))
    await call(gateway, 'POST', `/api/endpoints/${at?.id}/enable`)
    await using fourth = await chat(gateway)
    await tunnels(gateway, `endpoint=${at?.id}`, ({ total }) => total === 1)
    for (const { socket } of [second, third, fourth]) assert.equal(socket.readyState, socket.OPEN)
  })

  it('evens tunnels out when it is told to', async () => {
    await using one = await wsServer()
    await using two = await wsServer()
    await using gateway = await startTestGateway(yaml([one, two]))
    const { body } = await call<UpstreamList>(gateway, 'GET', '/api/upstreams')
    const [first, second] = body.upstreams[0]?.endpoints ?? []
    await call(gateway, 'POST', `/api/endpoints/${second?.id}/drain`)
    const clients = await Promise.all(Array.from({ length: 6 }, () => chat(gateway)))
    await call(gateway, 'POST', `/api/endpoints/${second?.id}/enable`)
    await tunnels(gateway, `endpoint=${first?.id}`, ({ total }) => total === 6)
    const leaving = Promise.race(clients.map((client) => client.closed()))
    const started = await call<RebalanceJson>(
      gateway,
      'POST',
      '/api/upstreams/chat/rebalance?rate=1',
    )
    assert.deepEqual([started.status, started.body.state], [202, 'running'])
    assert.equal((await leaving).code, 1012)
    const stopped = await call<RebalanceJson>(gateway, 'DELETE', '/api/upstreams/chat/rebalance')
    assert.ok(stopped.body.closed >= 1)
    assert.equal(
      (await call(gateway, 'GET', '/api/upstreams/chat/rebalance')).body['state'],
      'stopped',
    )
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('tells routes and the config, without its secrets', async () => {
    await using upstream = await grantingUpstream()
    await using gateway = await startTestGateway(
      yaml(
        [upstream],
        'auth: { people: { type: jwt, secret: "a-very-long-secret-of-the-issuer!" } }',
      ),
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake('/chat'))
    await client.head()
    await tunnels(gateway, '', ({ total }) => total === 1)
    const { body: routes } = await call<RouteList>(gateway, 'GET', '/api/routes')
    assert.deepEqual(
      routes.routes.map(({ name, tunnels: count, limits }) => [name, count, limits.tunnels]),
      [
        ['chat', 1, 50],
        ['raw', 0, null],
      ],
    )
    const { body } = await call(gateway, 'GET', '/api/config')
    assert.match(JSON.stringify(body), /"people"/)
    assert.ok(!JSON.stringify(body).includes('a-very-long-secret'))
  })

  it('reads the config again, and says before what would change', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(yaml([server]))
    await using client = await chat(gateway)
    await tunnels(gateway, '', ({ total }) => total === 1)
    await gateway.rewrite(`
upstreams: { chat: { endpoints: [${server.url}] } }
routes: [{ name: raw, upgrade: any, upstream: chat }]`)
    const dry = await call<ReloadAnswer>(gateway, 'POST', '/api/reload?dryRun=true')
    assert.deepEqual(
      [dry.body.dryRun, dry.body.closing, dry.body.closingByRoute],
      [true, 1, { chat: 1 }],
    )
    assert.ok(dry.body.changes.length > 0)
    assert.equal(client.socket.readyState, client.socket.OPEN)
    const closed = client.closed()
    const real = await call<ReloadAnswer>(gateway, 'POST', '/reload')
    assert.deepEqual([real.body.changes, real.body.closing], [dry.body.changes, 1])
    assert.equal((await closed).code, 1012)
    await gateway.rewrite('rotes: []')
    const wrong = await call(gateway, 'POST', '/api/reload')
    assert.equal(wrong.status, 422)
    assert.match(JSON.stringify(wrong.body['problems']), /did you mean/)
    await gateway.log('admin action', { action: 'reload' })
  })

  it('takes another token into use by a reload, and asks for it from then on', async () => {
    await using server = await wsServer()
    const admin = (token: string) => `admin: { address: "127.0.0.1:0", token: ${token} }`
    await using gateway = await startTestGateway(yaml([server], admin('the-first-token-of-all')))
    const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })
    assert.equal((await call(gateway, 'GET', '/api/tunnels')).status, 401)
    await gateway.rewrite(yaml([server], admin('another-token-than-before')))
    const first = bearer('the-first-token-of-all')
    assert.equal((await call(gateway, 'POST', '/api/reload', first)).status, 200)
    assert.equal((await call(gateway, 'GET', '/api/tunnels', first)).status, 401)
    const second = bearer('another-token-than-before')
    assert.equal((await call(gateway, 'GET', '/api/tunnels', second)).status, 200)
  })

  it('still shows and closes tunnels while the gateway drains', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(
      yaml([server], 'shutdown: { drain: 1h, spread: false }'),
    )
    await using client = await chat(gateway)
    const [tunnel] = await tunnels(gateway, '', ({ total }) => total === 1)
    const stopped = gateway.gateway.stop()
    assert.equal((await tunnels(gateway, '')).length, 1)
    const reload = await call(gateway, 'POST', '/api/reload')
    assert.equal(reload.status, 422)
    const closed = client.closed()
    await call(gateway, 'DELETE', `/api/tunnels/${tunnel?.id}`)
    assert.equal((await closed).code, 1008)
    await stopped
  })
})
