import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ProblemBody } from '../../src/admin/problem.ts'
import type { TunnelJson } from '../../src/admin/tunnel-json.ts'
import type { ClosingAnswer, TunnelList } from '../../src/admin/tunnel-operations.ts'
import { CLOSE_FRAMES } from '../support/tunnel-policy.ts'
import { fakeAdmin, type FakeAdmin } from './fake-api.ts'
import { frameCounts } from '../support/readings.ts'

async function ids(admin: FakeAdmin, query: string): Promise<string[]> {
  const { status, body } = await admin.call<TunnelList>('GET', `/api/tunnels?${query}`)
  assert.equal(status, 200, query)
  return body.tunnels.map(({ id }) => id)
}

function openMany(admin: FakeAdmin, count: number): void {
  for (let index = 0; index < count; index += 1) admin.gateway.open({ id: `t${index}` })
}

describe('GET /api/tunnels', () => {
  it('says that none is open', async () => {
    await using admin = await fakeAdmin()
    const { body } = await admin.call('GET', '/api/tunnels')
    assert.deepEqual(body, { tunnels: [], total: 0, open: 0, offset: 0, limit: 100, next: null })
  })

  it('gives pages, and says where the next one begins', async () => {
    await using admin = await fakeAdmin()
    openMany(admin, 250)
    const first = await admin.call<TunnelList>('GET', '/api/tunnels')
    assert.equal(first.body.tunnels.length, 100)
    assert.equal(first.body.total, 250)
    assert.equal(first.body.next, 100)
    const last = await admin.call<TunnelList>('GET', '/api/tunnels?offset=200')
    assert.deepEqual([last.body.tunnels[0]?.id, last.body.tunnels.length], ['t200', 50])
    assert.equal(last.body.next, null)
    const beyond = await admin.call<TunnelList>('GET', '/api/tunnels?offset=250&limit=1000')
    assert.deepEqual([beyond.body.tunnels, beyond.body.total], [[], 250])
  })

  it('counts those that the filter means, and all', async () => {
    await using admin = await fakeAdmin()
    openMany(admin, 3)
    admin.gateway.open({ upstream: 'feed' })
    const { body } = await admin.call<TunnelList>('GET', '/api/tunnels?route=chat&limit=2')
    assert.deepEqual([body.tunnels.length, body.total, body.open], [2, 3, 4])
  })

  it('sorts by what is asked for, the most first', async () => {
    await using admin = await fakeAdmin()
    const { gateway } = admin
    gateway.open({
      id: 'old',
      ageMs: 900_000,
      reading: { bytesUp: 900, silentUpMs: 1, silentDownMs: 9000 },
    })
    gateway.open({
      id: 'big',
      ageMs: 500_000,
      reading: { bytesDown: 1000, silentUpMs: 500, silentDownMs: 700 },
    })
    gateway.open({
      id: 'new',
      ageMs: 1000,
      reading: { bytesUp: 400, bytesDown: 400, silentUpMs: 50, silentDownMs: 60 },
    })
    assert.deepEqual(await ids(admin, ''), ['old', 'big', 'new'])
    assert.deepEqual(await ids(admin, 'sort=age'), ['old', 'big', 'new'])
    assert.deepEqual(await ids(admin, 'sort=bytes'), ['big', 'old', 'new'])
    assert.deepEqual(await ids(admin, 'sort=idle'), ['big', 'new', 'old'])
    assert.deepEqual(await ids(admin, 'sort=rate'), ['new', 'big', 'old'])
  })

  it('lists more tunnels than it looks at in one turn', async () => {
    await using admin = await fakeAdmin()
    openMany(admin, 4500)
    const { body } = await admin.call<TunnelList>(
      'GET',
      '/api/tunnels?sort=bytes&limit=1000&offset=4000',
    )
    assert.equal(body.total, 4500)
    assert.equal(body.tunnels.length, 500)
  })
})

describe('the filters of tunnels', () => {
  async function scene() {
    const admin = await fakeAdmin()
    const { gateway } = admin
    gateway.open({ id: 'a', user: 'ann', client: '10.1.2.3', ageMs: 60_000 })
    gateway.open({ id: 'b', endpoint: 1, client: '10.9.9.9', protocol: 'tcp', ageMs: 30_000 })
    gateway.open({
      id: 'c',
      upstream: 'feed',
      route: 'other',
      client: '2001:db8::7',
      user: 'ann',
      reading: { silentUpMs: 90_000, silentDownMs: 65_000 },
    })
    gateway.open({ id: 'd', upstream: 'feed', client: '' })
    return admin
  }

  for (const [query, expected] of [
    ['route=chat', 'a b'],
    ['upstream=feed', 'c d'],
    ['endpoint=http%3A%2F%2Fchat-2%3A3000', 'b'],
    ['user=ann', 'a c'],
    ['client=10.1.2.3', 'a'],
    ['client=10.0.0.0/8', 'a b'],
    ['client=2001:db8::/32', 'c'],
    ['client=::/0', 'c'],
    ['client=unix', 'd'],
    ['protocol=TCP', 'b'],
    ['minAge=45s', 'a'],
    ['maxAge=45s', 'b c d'],
    ['minAge=20s&maxAge=45s', 'b'],
    ['minIdle=1m', 'c'],
    ['minIdle=66s', ''],
    ['minIdle=0s', 'a b c d'],
    ['user=ann&upstream=feed', 'c'],
    ['user=ANN', ''],
    ['route=cha', ''],
  ] as const) {
    it(`mean ${expected === '' ? 'nothing' : expected} by ${query}`, async () => {
      await using admin = await scene()
      assert.equal((await ids(admin, query)).join(' '), expected)
    })
  }

  it('know endpoints by their ids as well', async () => {
    await using admin = await scene()
    const id = admin.gateway.pools().get('chat')?.endpoints[1]?.id ?? ''
    assert.deepEqual(await ids(admin, `endpoint=${id}`), ['b'])
  })
})

describe('GET /api/tunnels/{id}', () => {
  it('tells all that is known of it', async () => {
    await using admin = await fakeAdmin()
    const { gateway } = admin
    gateway.open({
      id: 'one',
      user: 'ann',
      ageMs: 10_000,
      reading: {
        bytesUp: 100,
        bytesDown: 2000,
        firstUpMs: 1.2345678,
        silentUpMs: 4000,
        silentDownMs: 1500,
        webSocket: {
          up: frameCounts({ text: 10, ping: 3 }),
          down: frameCounts({ binary: 20, close: 1, blind: true }),
          close: { by: 'upstream', code: 1001 },
        },
      },
    })
    const { status, body } = await admin.call<TunnelJson>('GET', '/api/tunnels/one')
    assert.equal(status, 200)
    const { openedAt, ageSeconds, rates, ...rest } = body
    assert.ok(Math.abs(Date.parse(openedAt) + 10_000 - Date.now()) < 5000)
    assert.ok(ageSeconds >= 10 && ageSeconds < 15)
    assert.ok(Math.abs(rates.bytesDown - 2000 / rates.seconds) < 0.01)
    assert.ok(Math.abs((rates.messagesUp ?? 0) - 10 / rates.seconds) < 0.01)
    assert.deepEqual(rest, {
      id: 'one',
      requestId: 'request-of-one',
      route: 'chat',
      upstream: 'chat',
      endpoint: 'http://chat-1:3000',
      endpointId: gateway.pools().get('chat')?.endpoints[0]?.id,
      client: '192.0.2.7',
      user: 'ann',
      method: 'GET',
      host: 'chat.example.com',
      path: '/chat',
      protocol: 'websocket',
      idleSeconds: 1.5,
      bytesUp: 100,
      bytesDown: 2000,
      messages: {
        up: frameCounts({ text: 10, ping: 3 }),
        down: frameCounts({ binary: 20, close: 1, blind: true }),
      },
      closeCode: { by: 'upstream', code: 1001 },
      firstByteMs: { up: 1.235, down: null },
      ending: false,
    })
  })

  it('has null for what is not known', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'one', protocol: 'tcp' })
    const { body } = await admin.call<TunnelJson>('GET', '/api/tunnels/one')
    assert.deepEqual(
      [body.user, body.messages, body.closeCode, body.rates.messagesUp, body.firstByteMs.up],
      [null, null, null, null, null],
    )
  })

  it('answers 404 for one that is not open', async () => {
    await using admin = await fakeAdmin()
    assert.equal((await admin.call('GET', '/api/tunnels/nobody')).status, 404)
  })
})

describe('the id of a tunnel', () => {
  it('may be the beginning of it, where that is not the beginning of another one', async () => {
    await using admin = await fakeAdmin()
    for (const id of ['3f2a9c1e-77b0', '3f2a9c1e-88c1', 'aaaaaaaa-0000', 'aaaaaaaa']) {
      admin.gateway.open({ id })
    }
    const read = async (id: string) => {
      const { status, body } = await admin.call('GET', `/api/tunnels/${id}`)
      return status === 200 ? body['id'] : status
    }
    assert.equal(await read('3f2a9c1e-7'), '3f2a9c1e-77b0')
    assert.equal(await read('3f2a9c1e'), 409)
    assert.equal(await read('aaaaaaaa'), 'aaaaaaaa')
    assert.equal(await read('aaaaaaaa-'), 'aaaaaaaa-0000')
    assert.equal(await read('3f2a9c1'), 404)
    assert.equal((await admin.call('DELETE', '/api/tunnels/3f2a9c1e')).status, 409)
    assert.deepEqual(admin.gateway.told, [])
  })
})

describe('DELETE /api/tunnels/{id}', () => {
  it("closes it with the frame of the route's close.kill, and says so in the log", async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'one' })
    admin.gateway.open({ id: 'two' })
    const { status, body } = await admin.call('DELETE', '/api/tunnels/one')
    assert.equal(status, 202)
    assert.deepEqual(body, { matched: 1, closing: 1, alreadyEnding: 0, overSeconds: 0 })
    assert.deepEqual(admin.gateway.told, [
      { id: 'one', by: 'admin', reason: 'kill', frame: CLOSE_FRAMES.kill },
    ])
    assert.deepEqual(admin.gateway.actions, [
      { action: 'close', by: '127.0.0.1', tunnelId: 'one', tunnels: 1 },
    ])
  })

  it('closes it with what is asked for, in the query or in the body', async () => {
    await using admin = await fakeAdmin()
    for (const id of ['one', 'two', 'three']) admin.gateway.open({ id })
    await admin.call('DELETE', '/api/tunnels/one?code=1012&reason=back%20soon')
    await admin.call('DELETE', '/api/tunnels/two', { body: { code: 3999, reason: '' } })
    await admin.call('DELETE', '/api/tunnels/three?reason=bye')
    assert.deepEqual(
      admin.gateway.told.map(({ frame }) => frame),
      [
        { code: 1012, text: 'back soon' },
        { code: 3999, text: '' },
        { code: CLOSE_FRAMES.kill.code, text: 'bye' },
      ],
    )
  })

  it('leaves one alone that is ending', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'one', isEnding: true })
    const { status, body } = await admin.call('DELETE', '/api/tunnels/one')
    assert.equal(status, 202)
    assert.deepEqual(body, { matched: 1, closing: 0, alreadyEnding: 1, overSeconds: 0 })
    assert.deepEqual(admin.gateway.told, [])
  })

  for (const code of ['999', '1004', '1005', '1006', '1010', '1015', '2999', '5000', 'x', '']) {
    it(`refuses ${code === '' ? 'nothing' : code} as a close code`, async () => {
      await using admin = await fakeAdmin()
      admin.gateway.open({ id: 'one' })
      assert.equal((await admin.call('DELETE', `/api/tunnels/one?code=${code}`)).status, 400)
      assert.deepEqual(admin.gateway.told, [])
    })
  }

  it('refuses a reason that no Close frame can hold', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'one' })
    const close = (reason: string) => admin.call('DELETE', '/api/tunnels/one', { body: { reason } })
    assert.equal((await close('ä'.repeat(62))).status, 400)
    assert.equal((await close('ä'.repeat(61))).status, 202)
  })

  it('answers 404 for one that is not open', async () => {
    await using admin = await fakeAdmin()
    assert.equal((await admin.call('DELETE', '/api/tunnels/nobody')).status, 404)
    assert.deepEqual(admin.gateway.actions, [])
  })
})

describe('DELETE /api/tunnels', () => {
  it('closes those that the filter means', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open({ id: 'a', user: 'ann' })
    admin.gateway.open({ id: 'b', user: 'bob' })
    admin.gateway.open({ id: 'c', user: 'ann', isEnding: true })
    const { status, body } = await admin.call('DELETE', '/api/tunnels?user=ann&client=192.0.2.0/24')
    assert.equal(status, 202)
    assert.deepEqual(body, { matched: 2, closing: 1, alreadyEnding: 1, overSeconds: 0 })
    assert.deepEqual(
      admin.gateway.told.map(({ id }) => id),
      ['a'],
    )
    const [action] = admin.gateway.actions
    assert.deepEqual([action?.user, action?.clientIp, action?.tunnels], ['ann', '192.0.2.0/24', 1])
  })

  it('closes all with all=true', async () => {
    await using admin = await fakeAdmin()
    openMany(admin, 3)
    assert.equal((await admin.call('DELETE', '/api/tunnels?all=true')).status, 202)
    assert.equal(admin.gateway.told.length, 3)
  })

  for (const query of ['', 'all=false', 'all=true&route=chat', 'code=1001']) {
    it(`closes nothing by "${query}"`, async () => {
      await using admin = await fakeAdmin()
      openMany(admin, 2)
      const { status } = await admin.call<ProblemBody>('DELETE', `/api/tunnels?${query}`)
      assert.equal(status, 400)
      assert.deepEqual(admin.gateway.told, [])
    })
  }

  it('takes its time when it is told to', async () => {
    await using admin = await fakeAdmin()
    openMany(admin, 10)
    const { body } = await admin.call<ClosingAnswer>('DELETE', '/api/tunnels?all=true&over=1h')
    assert.deepEqual([body.closing, body.overSeconds], [10, 3600])
    assert.equal(admin.gateway.told.length, 1)
  })
})
