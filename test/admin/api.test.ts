import assert from 'node:assert/strict'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import type { ProblemBody } from '../../src/admin/problem.ts'
import { fakeAdmin } from './fake-api.ts'

/** Sends bytes and returns all that comes back until the server closes. */
async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

describe('a call of the API', () => {
  it('is answered as JSON that nobody keeps', async () => {
    await using admin = await fakeAdmin()
    const { status, type, headers } = await admin.call('GET', '/api/tunnels')
    assert.equal(status, 200)
    assert.equal(type, 'application/json')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['access-control-allow-origin'], undefined)
  })

  it('is answered to HEAD without a body', async () => {
    await using admin = await fakeAdmin()
    const answer = await sendRaw(
      admin.port,
      'HEAD /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    assert.match(answer, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/)
  })

  it('is listed', async () => {
    await using admin = await fakeAdmin()
    const { body } = await admin.call<{ calls: unknown[] }>('GET', '/api')
    assert.ok(body.calls.length > 10)
  })

  it('is refused with everything that is wrong, in the words of the config', async () => {
    await using admin = await fakeAdmin()
    const target = '/api/tunnels?minage=5m&sort=size&limit=0&client=10.0.0.256&route='
    const { status, type, body } = await admin.call<ProblemBody>('GET', target)
    assert.equal(status, 400)
    assert.equal(type, 'application/problem+json')
    assert.deepEqual(body.problems, [
      'there is no parameter "minage", did you mean minAge?',
      'route: expected the name of a route',
      'client: expected an IP address, a block of them or unix, such as 10.0.0.0/8, 192.0.2.7, ::1 or unix',
      'sort: expected age, bytes, idle or rate',
      'limit: expected a whole number from 1 to 1000',
    ])
  })

  it('is refused with a question where another parameter was meant', async () => {
    await using admin = await fakeAdmin()
    const { body } = await admin.call<ProblemBody>('DELETE', '/api/tunnels?all=true&reson=x')
    assert.equal(body.detail, 'there is no parameter "reson", did you mean reason?')
    assert.equal(body.problems, undefined)
  })

  it('is refused when a parameter is there twice', async () => {
    await using admin = await fakeAdmin()
    const { status, body } = await admin.call<ProblemBody>('GET', '/api/tunnels?route=a&route=b')
    assert.equal(status, 400)
    assert.equal(body.detail, 'route is there twice.')
  })

  it('is refused when the query and the body say the same thing', async () => {
    await using admin = await fakeAdmin()
    const { status, body } = await admin.call<ProblemBody>(
      'DELETE',
      '/api/tunnels?all=true&code=4000',
      { body: { code: 4001 } },
    )
    assert.equal(status, 400)
    assert.equal(body.detail, 'code is in the query and in the body.')
  })

  it('has no filters in its body', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    const { status, body } = await admin.call<ProblemBody>('DELETE', '/api/tunnels?all=true', {
      body: { route: 'feed', reson: 'x' },
    })
    assert.equal(status, 400)
    assert.deepEqual(body.problems, [
      'there is no parameter "route"; there are code, reason, over',
      'there is no parameter "reson", did you mean reason?',
    ])
    assert.deepEqual(admin.gateway.told, [])
  })

  it('tells the log, and nobody else, what went wrong inside', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.reload = () => Promise.reject(new Error('secret detail'))
    const { status, body } = await admin.call('POST', '/api/reload')
    assert.equal(status, 500)
    assert.ok(!JSON.stringify(body).includes('secret'))
    const [fault = ''] = admin.gateway.faults
    assert.match(fault, /^POST \/api\/reload Error: secret detail\n +at /)
  })

  it('is refused on a path in absolute form', async () => {
    await using admin = await fakeAdmin()
    const answer = await sendRaw(
      admin.port,
      'GET http://localhost/api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    assert.match(answer, /^HTTP\/1\.1 404 /)
  })

  it('from a page of another site changes nothing', async () => {
    await using admin = await fakeAdmin()
    admin.gateway.open()
    for (const headers of [
      { Origin: 'https://evil.example' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { Host: 'evil.example' },
    ]) {
      const { status } = await admin.call('DELETE', '/api/tunnels?all=true', { headers })
      assert.ok(status === 403 || status === 421)
    }
    assert.deepEqual(admin.gateway.told, [])
    assert.deepEqual(admin.gateway.actions, [])
  })
})
