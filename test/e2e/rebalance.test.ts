import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Crowd, CountingServers } from '../support/crowd.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { wsClient } from '../support/ws-server.ts'

const CLIENTS = 40

interface UpstreamOptions {
  readonly rebalance?: string
  readonly balance?: string
}

function yaml(urls: readonly string[], { rebalance = 'off', balance }: UpstreamOptions): string {
  return `
upstreams:
  chat:
    endpoints: [${urls.map((url) => `"${url}"`).join(', ')}]
    balance: ${balance ?? 'least-tunnels'}
    rebalance: ${rebalance}
routes: [{ name: chat, upstream: chat }]
`
}

function crowdOf({ port }: TestGateway): Promise<Crowd> {
  return Crowd.open(`ws://127.0.0.1:${port}/`, CLIENTS, { backAfterMs: 50 })
}

async function call(
  { adminPort }: TestGateway,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return { status: response.status, json: (await response.json()) as Record<string, unknown> }
}

/** The id of the endpoint with this URL, as the API says it. */
async function idOf(gateway: TestGateway, url: string): Promise<string> {
  const { json } = await call(gateway, 'GET', '/api/upstreams')
  const upstreams = json['upstreams'] as readonly {
    readonly endpoints: readonly { readonly id: string; readonly url: string }[]
  }[]
  const found = upstreams.flatMap(({ endpoints }) => endpoints).find((one) => one.url === url)
  assert.ok(found)
  return found.id
}

/** Who has ended tunnels, why, and at which endpoint, as far as the log says it by now. */
function endsOf({ logs }: TestGateway): string[] {
  const lines = logs.filter(({ msg }) => msg === 'tunnel close')
  return [...new Set(lines.map(({ by, reason, endpoint }) => [by, reason, endpoint].join(' ')))]
}

/** The most that were closed together: rounds are a second apart, and clients see them with some delay. */
function mostInARound({ closings }: Crowd): number {
  const times = closings.map(({ atMs }) => atMs)
  return Math.max(
    ...times.map((from) => times.filter((time) => time >= from && time < from + 700).length),
  )
}

/** Both have their share within a tenth. */
const isEven = ([a = 0, b = 0]: readonly number[]): boolean =>
  a + b === CLIENTS && Math.abs(a - b) <= CLIENTS / 10

describe('rebalance', () => {
  it('brings tunnels to an endpoint that a reload has added', async () => {
    await using servers = await CountingServers.start(2)
    const [first = '', second = ''] = servers.urls
    const rebalance = '{ rate: 8, spread: 10% }'
    await using gateway = await startTestGateway(yaml([first], { rebalance }))
    await using crowd = await crowdOf(gateway)
    assert.deepEqual(servers.open, [CLIENTS, 0])
    await gateway.reload(yaml([first, second], { rebalance }))
    await servers.until(isEven)
    const closed = crowd.closings.length
    // No more than bring it to its share.
    assert.ok(closed >= 18 && closed <= 20, String(closed))
    assert.ok(mostInARound(crowd) <= 8, String(mostInARound(crowd)))
    assert.ok(crowd.closings.every(({ code }) => code === 1012))
    const labels = { by: 'gateway', reason: 'rebalance' }
    assert.equal(await gateway.metric('upgate_tunnels_closed_total', labels), closed)
    await gateway.log('tunnel close')
    assert.deepEqual(endsOf(gateway), [`gateway rebalance ${first}`])
  })

  it('brings tunnels back to an endpoint that was emptied, when an operator asks for it', async () => {
    await using servers = await CountingServers.start(2)
    const [first = '', second = ''] = servers.urls
    await using gateway = await startTestGateway(yaml([first, second], {}))
    await using crowd = await crowdOf(gateway)
    const half = CLIENTS / 2
    assert.deepEqual(servers.open, [half, half])
    const id = await idOf(gateway, second)
    const drained = await call(gateway, 'POST', `/api/endpoints/${id}/drain`, {
      close: true,
      over: '1s',
    })
    assert.deepEqual([drained.status, drained.json['closing']], [200, half])
    const closing = { reason: 'drain', upstream: 'chat', endpoint: second }
    await gateway.log('closing tunnels', { ...closing, left: half, of: half })
    await servers.until(([a, b]) => a === CLIENTS && b === 0)
    assert.equal(crowd.closings.length, half)
    assert.ok(crowd.closings.every(({ code }) => code === 1001))
    assert.equal((await call(gateway, 'POST', `/api/endpoints/${id}/enable`)).status, 200)
    const started = await call(gateway, 'POST', '/api/upstreams/chat/rebalance', {
      rate: 10,
      spread: '10%',
    })
    assert.equal(started.status, 202)
    await servers.until(isEven)
    const closed = crowd.closings.length - half
    assert.ok(closed >= 18 && closed <= 20, String(closed))
    assert.ok(crowd.closings.slice(half).every(({ code }) => code === 1012))
    const { json } = await call(gateway, 'GET', '/api/upstreams/chat/rebalance')
    assert.equal(json['closed'], closed)
    await gateway.log('tunnel close', { reason: 'rebalance' })
    assert.deepEqual(endsOf(gateway), [`admin drain ${second}`, `admin rebalance ${first}`])
  })

  it('goes on through a reload', async () => {
    await using servers = await CountingServers.start(2)
    const [first = '', second = ''] = servers.urls
    await using gateway = await startTestGateway(yaml([first], {}))
    await using crowd = await crowdOf(gateway)
    await gateway.reload(yaml([first, second], {}))
    await call(gateway, 'POST', '/api/upstreams/chat/rebalance', { rate: 8, spread: '10%' })
    await servers.until(([, b = 0]) => b >= 8)
    await gateway.reload(`${yaml([first, second], {})}\nlog: { level: info }\n`)
    await servers.until(isEven)
    await gateway.log('tunnel close')
    assert.deepEqual(endsOf(gateway), [`admin rebalance ${first}`])
    assert.equal(crowd.size, CLIENTS)
  })

  it('is refused where clients would come back to where they were', async () => {
    await using servers = await CountingServers.start(2)
    await using gateway = await startTestGateway(yaml(servers.urls, { balance: 'hash' }))
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    const { status, json } = await call(gateway, 'POST', '/api/upstreams/chat/rebalance')
    assert.equal(status, 409)
    assert.match(String(json['detail']), /hash/)
    assert.equal(client.socket.readyState, client.socket.OPEN)
  })
})
