import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ProblemBody } from '../../src/admin/problem.ts'
import type {
  DrainAnswer,
  EndpointJson,
  RebalanceJson,
  UpstreamJson,
  UpstreamList,
} from '../../src/admin/upstream-operations.ts'
import { fakeAdmin, FakeGateway, type FakeAdmin } from './fake-api.ts'

async function upstream(admin: FakeAdmin, name: string): Promise<UpstreamJson> {
  const { body } = await admin.call<UpstreamList>('GET', '/api/upstreams')
  const found = body.upstreams.find((one) => one.name === name)
  assert.ok(found !== undefined)
  return found
}

async function endpoint(admin: FakeAdmin, name = 'chat', index = 0): Promise<EndpointJson> {
  const found = (await upstream(admin, name)).endpoints[index]
  assert.ok(found !== undefined)
  return found
}

describe('GET /api/upstreams', () => {
  it('tells how their endpoints do', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    admin.gateway.open({ endpoint: 1 })
    admin.gateway.open({ endpoint: 1 })
    const chat = await upstream(admin, 'chat')
    assert.equal(chat.balance, 'least-tunnels')
    assert.equal(chat.tunnels, 3)
    assert.equal(chat.rebalance, null)
    const plain = { up: true, draining: false, closing: false, inUse: 0 }
    assert.deepEqual(
      chat.endpoints.map(({ id: _id, ...rest }) => rest),
      [
        { ...plain, url: 'http://chat-1:3000', weight: 1, tunnels: 1 },
        { ...plain, url: 'http://chat-2:3000', weight: 2, tunnels: 2 },
      ],
    )
    assert.equal((await upstream(admin, 'feed')).balance, 'hash')
  })
})

describe('POST /api/endpoints/{id}/drain', () => {
  it('gives it no new tunnels, and leaves those that it has', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    const { id, url } = await endpoint(admin)
    const { status, body } = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/drain`)
    assert.equal(status, 200)
    assert.deepEqual([body.upstream, body.closing, body.overSeconds], ['chat', 0, 0])
    assert.deepEqual([body.endpoint.draining, body.endpoint.closing], [true, false])
    assert.equal((await endpoint(admin)).draining, true)
    assert.deepEqual(admin.gateway.told, [])
    assert.deepEqual(admin.gateway.drained, [`chat ${url} true`])
    assert.deepEqual(admin.gateway.actions, [
      { action: 'drain', by: '127.0.0.1', upstream: 'chat', endpoint: url, tunnels: 0 },
    ])
  })

  it('closes those that it has when it is told to', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'a' })
    admin.gateway.open({ id: 'b', endpoint: 1 })
    admin.gateway.open({ id: 'c' })
    const { id } = await endpoint(admin)
    const { body } = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/drain`, {
      body: { close: true },
    })
    assert.equal(body.closing, 2)
    assert.deepEqual(
      admin.gateway.told
        .map(({ id: tunnel, by, reason }) => `${tunnel} ${by} ${reason}`)
        .toSorted(),
      ['a admin drain', 'c admin drain'],
    )
  })

  it('closes them over a time, until it is enabled again', async () => {
    await using admin = await fakeAdmin()
    for (let index = 0; index < 5; index += 1) admin.gateway.open()
    const { id, url } = await endpoint(admin)
    await admin.call('POST', `/api/endpoints/${id}/drain?close=true&over=1h`)
    assert.equal((await endpoint(admin)).closing, true)
    assert.equal(admin.gateway.told.length, 1)
    const { status, body } = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/enable`)
    assert.equal(status, 200)
    assert.deepEqual([body.endpoint.draining, body.endpoint.closing], [false, false])
    assert.equal(admin.gateway.told.length, 1)
    assert.deepEqual(admin.gateway.drained, [`chat ${url} true`, `chat ${url} false`])
    assert.deepEqual(
      admin.gateway.actions.map(({ action, tunnels }) => [action, tunnels]),
      [
        ['drain', 5],
        ['enable', 0],
      ],
    )
  })

  it('may be asked for twice, and with another time', async () => {
    await using admin = await fakeAdmin()
    for (let index = 0; index < 5; index += 1) admin.gateway.open()
    const { id } = await endpoint(admin)
    await admin.call('POST', `/api/endpoints/${id}/drain?close=true&over=1h`)
    const { body } = await admin.call<DrainAnswer>('POST', `/api/endpoints/${id}/drain?close=true`)
    assert.equal(body.closing, 4)
    assert.equal(admin.gateway.told.length, 5)
    assert.equal(admin.gateway.drained.length, 1)
  })

  it('wants no time for nothing', async () => {
    await using admin = await fakeAdmin()
    const { id } = await endpoint(admin)
    const { status, body } = await admin.call<ProblemBody>(
      'POST',
      `/api/endpoints/${id}/drain?over=30s`,
    )
    assert.equal(status, 400)
    assert.match(body.detail, /add close/)
    assert.equal((await endpoint(admin)).draining, false)
  })

  it('answers 404 for an endpoint that there is not', async () => {
    await using admin = await fakeAdmin()
    for (const verb of ['drain', 'enable']) {
      assert.equal((await admin.call('POST', `/api/endpoints/nobody/${verb}`)).status, 404)
    }
    assert.deepEqual(admin.gateway.actions, [])
  })
})

describe('/api/upstreams/{name}/rebalance', () => {
  it('starts a job, tells of it, and stops it', async () => {
    await using admin = await fakeAdmin()
    const started = await admin.call<RebalanceJson>('POST', '/api/upstreams/chat/rebalance', {
      body: { rate: 7, spread: '25%' },
    })
    assert.equal(started.status, 202)
    const { startedAt, ...job } = started.body
    assert.ok(Math.abs(Date.parse(startedAt) - Date.now()) < 5000)
    assert.deepEqual(job, { upstream: 'chat', state: 'running', rate: 7, spread: 0.25, closed: 0 })
    const read = await admin.call('GET', '/api/upstreams/chat/rebalance')
    assert.deepEqual([read.status, read.body['state']], [200, 'running'])
    assert.equal((await upstream(admin, 'chat')).rebalance?.state, 'running')
    const stopped = await admin.call('DELETE', '/api/upstreams/chat/rebalance')
    assert.deepEqual([stopped.status, stopped.body['state']], [200, 'stopped'])
    assert.deepEqual(
      admin.gateway.actions.map(({ action, upstream: name }) => `${action} ${name}`),
      ['rebalance chat', 'rebalance stop chat'],
    )
  })

  it('goes by the config where nothing else is said', async () => {
    await using admin = await fakeAdmin(
      {},
      new FakeGateway(`
upstreams:
  a: { endpoints: [http://a-1:80, http://a-2:80], rebalance: { rate: 3, spread: 50% } }
  b: { endpoints: [http://b-1:80, http://b-2:80] }
routes: [{ match: { path: /a }, upstream: a }, { upstream: b }]
`),
    )
    const start = async (name: string, query: string) => {
      const target = `/api/upstreams/${name}/rebalance${query}`
      const { rate, spread } = (await admin.call<RebalanceJson>('POST', target)).body
      return { rate, spread }
    }
    assert.deepEqual(await start('a', ''), { rate: 3, spread: 0.5 })
    assert.deepEqual(await start('a', '?rate=9'), { rate: 9, spread: 0.5 })
    assert.deepEqual(await start('b', '?spread=20%25'), { rate: 5, spread: 0.2 })
  })

  it('answers 409 where it makes no sense', async () => {
    await using admin = await fakeAdmin()
    const { status, body } = await admin.call<ProblemBody>('POST', '/api/upstreams/feed/rebalance')
    assert.equal(status, 409)
    assert.match(body.detail, /balances by hash/)
    assert.deepEqual(admin.gateway.actions, [])
  })

  it('answers 404 for an upstream that there is not, and names the one that was meant', async () => {
    await using admin = await fakeAdmin()
    for (const method of ['GET', 'POST', 'DELETE']) {
      const { status, body } = await admin.call<ProblemBody>(
        method,
        '/api/upstreams/chta/rebalance',
      )
      assert.equal(status, 404)
      assert.match(body.detail, /Did you mean chat\?/)
    }
  })

  it('answers 404 where no job ever ran', async () => {
    await using admin = await fakeAdmin()
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await admin.call(method, '/api/upstreams/chat/rebalance')).status, 404)
    }
    assert.deepEqual(admin.gateway.actions, [])
  })

  for (const query of ['rate=0', 'rate=x', 'spread=0%25', 'spread=101%25', 'spread=0.1']) {
    it(`refuses ${query}`, async () => {
      await using admin = await fakeAdmin()
      const target = `/api/upstreams/chat/rebalance?${query}`
      assert.equal((await admin.call('POST', target)).status, 400)
    })
  }
})
