import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { hash } from '@node-rs/bcrypt'
import { SignJWT } from 'jose'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING, type RawClient } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const SECRET = 'a secret of at least thirty-two bytes'

function jwt(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ann')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))
}

async function authServer(
  answer: http.RequestListener,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = http.createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/verify`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Grants every upgrade and remembers the heads that it saw. */
function granting(heads: Awaited<ReturnType<RawClient['head']>>[] = []): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    heads.push(await connection.head())
    connection.write(SWITCHING)
  })
}

const route = (upstream: ScriptedUpstream, auth: string): string =>
  `routes: [{ name: a, auth: ${auth}, upstream: "${upstream.url}" }]`

describe('auth', () => {
  it('lets an API key in, names its user to the upstream, and takes no name from a client', async () => {
    const heads: Awaited<ReturnType<RawClient['head']>>[] = []
    await using upstream = await granting(heads)
    const keys = `ci:${createHash('sha256').update('the-key').digest('hex')}\n`
    await using gateway = await startTestGateway(
      `auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys } }\n${route(upstream, '[robots]')}`,
      { keys },
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake('/', ['X-Api-Key: the-key', 'X-Auth-User: root', 'X_Auth_User: root']))
    assert.equal((await client.head()).status, 101)
    assert.equal(heads[0]?.fields.get('x-auth-user'), 'ci')
    assert.equal(heads[0]?.fields.get('x_auth_user'), undefined)
    assert.equal((await gateway.log('tunnel open'))['user'], 'ci')
    assert.equal(await gateway.metric('upgate_auth_total', { check: 'robots', result: 'pass' }), 1)
  })

  it('guards a path under every spelling in which an upstream may read it', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(
      `auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys } }
routes:
  - { match: { path: /staff }, auth: [robots], upstream: "${upstream.url}" }
  - { upstream: "${upstream.url}" }`,
      { keys: `ci:${'0'.repeat(64)}\n` },
    )
    for (const path of [
      '/staff%3f',
      '/staff%23/x',
      '/staff%253Fx',
      '/st%09aff',
      '/x/..%c0%afstaff',
    ]) {
      for (const request of [handshake(path), `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`]) {
        await using client = await rawClient(gateway.port)
        client.write(request)
        const { status, body } = await client.answer()
        assert.equal(status, 400, path)
        assert.match(body, /E_TARGET_AMBIGUOUS/)
      }
    }
    assert.equal(upstream.connections, 0)
  })

  it('answers 403 to a good token that lacks a claim', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(
      `auth: { people: { type: jwt, secret: "${SECRET}", claims: { role: [admin] } } }\n${route(upstream, '[people]')}`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake('/', [`Authorization: Bearer ${await jwt({ role: 'guest' })}`]))
    assert.equal((await client.answer()).status, 403)
    await gateway.log('request', { code: 'E_CLAIM_DENIED' })
    client.write(handshake('/', [`Authorization: Bearer ${await jwt({ role: ['admin', 'x'] })}`]))
    assert.equal((await client.head()).status, 101)
  })

  it('does not forward a token from the query or a subprotocol, and answers with the marker when no other was offered', async () => {
    const heads: Awaited<ReturnType<RawClient['head']>>[] = []
    await using upstream = await granting(heads)
    await using gateway = await startTestGateway(
      `auth: { people: { type: jwt, secret: "${SECRET}", from: ["query:access_token", "subprotocol:bearer"] } }\n${route(upstream, '[people]')}`,
    )
    const token = await jwt({})
    {
      await using client = await rawClient(gateway.port)
      client.write(handshake(`/ws?a=1&access_token=${token}&b=%2f`))
      assert.equal((await client.head()).status, 101)
      assert.equal(heads[0]?.statusLine, 'GET /ws?a=1&b=%2f HTTP/1.1')
    }
    {
      await using client = await rawClient(gateway.port)
      client.write(handshake('/', [`Sec-WebSocket-Protocol: bearer, ${token}`]))
      const head = await client.head()
      assert.equal(head.fields.get('sec-websocket-protocol'), 'bearer')
      assert.equal(heads[1]?.fields.get('sec-websocket-protocol'), undefined)
    }
    for (const line of gateway.logs) assert.ok(!JSON.stringify(line).includes(token))
  })

  it('relays the answer of an auth server that refuses whole, with its cookies and location', async () => {
    await using upstream = await granting()
    await using server = await authServer((request, response) => {
      assert.equal(request.headers['x-forwarded-method'], 'GET')
      assert.equal(request.headers['x-forwarded-uri'], '/ws?x=1')
      assert.equal(request.headers['x-original-uri'], '/ws?x=1')
      assert.equal(request.headers['x-forwarded-host'], 'gateway.test')
      assert.equal(request.headers['x-forwarded-for'], '127.0.0.1')
      response.writeHead(302, 'This way', [
        'Location',
        'https://login.test/',
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
      ])
      response.end('go and log in')
    })
    await using gateway = await startTestGateway(
      `auth: { portal: { type: forward, url: "${server.url}" } }\n${route(upstream, '[portal]')}`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake('/ws?x=1'))
    const head = await client.head()
    assert.equal(head.statusLine, 'HTTP/1.1 302 This way')
    assert.equal(head.fields.get('location'), 'https://login.test/')
    assert.deepEqual(
      head.lines.filter((line) => line.startsWith('Set-Cookie')),
      ['Set-Cookie: a=1', 'Set-Cookie: b=2'],
    )
    assert.equal(await client.bytes(13), 'go and log in')
    const line = await gateway.log('request', { code: 'E_FORWARD_DENIED' })
    assert.equal(line['status'], 302)
    assert.equal(upstream.connections, 0)
  })

  it('answers 504 when the auth server does not answer, and lets nobody in', async () => {
    await using upstream = await granting()
    await using server = await authServer(() => {})
    await using gateway = await startTestGateway(
      `auth: { portal: { type: forward, url: "${server.url}", timeout: 100ms } }\n${route(upstream, '[portal]')}`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.answer()).status, 504)
    await gateway.log('request', { code: 'E_AUTH_TIMEOUT' })
    assert.equal(upstream.connections, 0)
  })

  it('answers 503 when a client has too many passwords checked, and checks those of others meanwhile', async () => {
    await using upstream = await granting()
    const users = `ann:${await hash('right', { cost: 8 })}\n`
    await using gateway = await startTestGateway(
      `trustedProxies: [127.0.0.1]\nauth: { staff: { type: basic, users: ./users } }\n${route(upstream, '[staff]')}`,
      { users },
    )
    const basic = (password: string, client: string): string =>
      handshake('/', [
        `Authorization: Basic ${Buffer.from(`ann:${password}`).toString('base64')}`,
        `X-Forwarded-For: ${client}`,
      ])
    const clients: RawClient[] = []
    for (let index = 0; index < 80; index += 1) clients.push(await rawClient(gateway.port))
    await using other = await rawClient(gateway.port)
    for (const [index, client] of clients.entries()) {
      client.write(basic(`wrong-${index}`, '192.0.2.1'))
    }
    other.write(basic('right', '192.0.2.2'))
    assert.equal((await other.head()).status, 101)
    const answers = await Promise.all(clients.map((client) => client.answer()))
    const counts = Map.groupBy(answers, ({ status }) => status)
    assert.ok((counts.get(401)?.length ?? 0) >= 8)
    assert.ok((counts.get(503)?.length ?? 0) > 0)
    await gateway.log('request', { code: 'E_AUTH_BUSY' })
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('answers 500 when the gateway itself fails, reports it as an error, and serves on', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    let broken = true
    Object.defineProperty(gateway.gateway, 'draining', {
      get: () => {
        if (broken) throw new Error('a bug')
        return false
      },
    })
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    const answer = await client.answer()
    assert.equal(answer.status, 500)
    assert.doesNotMatch(answer.body, /a bug/)
    const line = await gateway.log('request', { code: 'E_INTERNAL' })
    assert.equal(line['level'], 'error')
    assert.match(String(line['cause']), /a bug/)
    broken = false
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
  })
})
