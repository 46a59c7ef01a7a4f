/** Tunnels end when the credentials that let them in do, and no others end with them. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { hashSync } from '@node-rs/bcrypt'
import { SignJWT } from 'jose'
import { httpFixture, type HttpFixture } from '../auth/http-fixture.ts'
import { temporaryFolder } from '../auth/temporary-folder.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { wsClient, wsServer, type WsClient, type WsServer } from '../support/ws-server.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const EXPIRED = { code: 1008, reason: 'credentials expired' }

function tokenUntil(second: number): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ann')
    .setExpirationTime(second)
    .sign(new TextEncoder().encode(SECRET))
}

function basic(user: string, password: string): Record<string, string> {
  return {
    Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  }
}

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

/** An upstream that echoes, and knows with which code the first WebSocket was closed. */
interface Upstream extends AsyncDisposable {
  readonly url: string
  readonly closed: Promise<number>
}

async function startUpstream(): Promise<Upstream> {
  const { promise: closed, resolve } = Promise.withResolvers<number>()
  const server: WsServer = await wsServer({}, (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    socket.on('close', resolve)
  })
  return { url: server.url, closed, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

function connect(
  gateway: TestGateway,
  headers: Record<string, string>,
  path = '/',
): Promise<WsClient> {
  return wsClient(`ws://127.0.0.1:${gateway.port}${path}`, [], { headers })
}

async function assertOpen(client: WsClient): Promise<void> {
  client.socket.send('still there')
  assert.equal((await client.message()).data.toString(), 'still there')
}

function closeLine(gateway: TestGateway, fields: Record<string, unknown> = {}) {
  return gateway.log('tunnel close', { by: 'gateway', reason: 'expired', ...fields })
}

const route = (upstream: Upstream, check: string, more = ''): string =>
  `{ name: ${check}, auth: [${check}], upstream: "${upstream.url}"${more} }`

describe('a tunnel with a JWT', () => {
  it("ends at the token's exp with the Close frame of its route, unless its check says otherwise", async () => {
    await using upstream = await startUpstream()
    const jwt = `type: jwt, secret: "${SECRET}", clockTolerance: 0s`
    await using gateway = await startTestGateway(
      [
        `auth: { ends: { ${jwt} }, stays: { ${jwt}, closeOnExpiry: false } }`,
        'routes:',
        `  - ${route(upstream, 'ends', ', match: { path: /ends }')}`,
        `  - ${route(upstream, 'stays')}`,
      ].join('\n'),
    )
    const exp = Math.floor(Date.now() / 1000) + 3
    const headers = { Authorization: `Bearer ${await tokenUntil(exp)}` }
    await using ending = await connect(gateway, headers, '/ends')
    await using staying = await connect(gateway, headers)
    await assertOpen(ending)
    assert.deepEqual(await ending.closed(), EXPIRED)
    const lateMs = Date.now() - exp * 1000
    assert.ok(lateMs >= 0 && lateMs < 1000, `${lateMs} ms after exp`)
    const line = await closeLine(gateway, { route: 'ends', user: 'ann' })
    assert.deepEqual([line['wsCloseBy'], line['wsCloseCode']], ['gateway', 1008])
    assert.equal(await upstream.closed, 1008)
    await assertOpen(staying)
    assert.equal(
      await gateway.metric('upgate_tunnels_closed_total', { by: 'gateway', reason: 'expired' }),
      1,
    )
  })
})

describe('a tunnel with a user of a file', () => {
  it('ends when the file has the user no more, or with another password', async () => {
    await using upstream = await startUpstream()
    await using folder = await temporaryFolder()
    const hash = (password: string): string => hashSync(password, { cost: 4 })
    const cid = `cid:${hash('three')}\n`
    const users = await folder.write('users', `ann:${hash('one')}\nbob:${hash('two')}\n${cid}`)
    await using gateway = await startTestGateway(
      [
        `auth: { staff: { type: basic, users: "${users}" } }`,
        `routes: [${route(upstream, 'staff')}]`,
      ].join('\n'),
    )
    await using ann = await connect(gateway, basic('ann', 'one'))
    await using bob = await connect(gateway, basic('bob', 'two'))
    await using other = await connect(gateway, basic('cid', 'three'))
    await writeFile(users, `bob:${hash('other')}\n${cid}`)
    assert.deepEqual(await Promise.all([ann.closed(), bob.closed()]), [EXPIRED, EXPIRED])
    await closeLine(gateway, { user: 'ann' })
    await closeLine(gateway, { user: 'bob' })
    await assertOpen(other)
  })

  it('stays where its check says so', async () => {
    await using upstream = await startUpstream()
    await using folder = await temporaryFolder()
    const line = `ann:${hashSync('one', { cost: 4 })}\n`
    const users = await folder.write('users', line)
    const check = `type: basic, users: "${users}"`
    await using gateway = await startTestGateway(
      [
        `auth: { ends: { ${check} }, stays: { ${check}, closeOnExpiry: false } }`,
        'routes:',
        `  - ${route(upstream, 'ends', ', match: { path: /ends }')}`,
        `  - ${route(upstream, 'stays')}`,
      ].join('\n'),
    )
    await using ending = await connect(gateway, basic('ann', 'one'), '/ends')
    await using staying = await connect(gateway, basic('ann', 'one'))
    await writeFile(users, '')
    assert.deepEqual(await ending.closed(), EXPIRED)
    await gateway.log('file reloaded', { what: 'users of auth.stays' })
    await assertOpen(staying)
  })
})

describe('a tunnel that a reload leaves in', () => {
  it('goes by the file of the new config', async () => {
    await using upstream = await startUpstream()
    await using folder = await temporaryFolder()
    const ann = `ann:${hashSync('one', { cost: 4 })}\n`
    const bob = `bob:${hashSync('two', { cost: 4 })}\n`
    const before = await folder.write('before', ann + bob)
    const after = await folder.write('after', ann)
    const config = (users: string): string =>
      [
        `auth: { staff: { type: basic, users: "${users}" } }`,
        `routes: [${route(upstream, 'staff')}]`,
      ].join('\n')
    await using gateway = await startTestGateway(config(before))
    await using stays = await connect(gateway, basic('ann', 'one'))
    await using goes = await connect(gateway, basic('bob', 'two'))
    const { ok, closing } = await gateway.reload(config(after))
    assert.deepEqual([ok, closing], [true, 1])
    await goes.closed()
    await gateway.log('tunnel close', { user: 'bob', reason: 'reload' })
    await assertOpen(stays)
    await writeFile(after, bob)
    assert.deepEqual(await stays.closed(), EXPIRED)
    await closeLine(gateway, { user: 'ann' })
  })

  it('still ends when its token does', async () => {
    await using upstream = await startUpstream()
    const auth = `auth: { people: { type: jwt, secret: "${SECRET}", clockTolerance: 0s } }`
    const config = (more: string): string => `${auth}\nroutes: [${route(upstream, 'people', more)}]`
    await using gateway = await startTestGateway(config(''))
    const exp = Math.floor(Date.now() / 1000) + 3
    await using client = await connect(gateway, {
      Authorization: `Bearer ${await tokenUntil(exp)}`,
    })
    const { ok, closing } = await gateway.reload(config(', timeouts: { idle: 1h }'))
    assert.deepEqual([ok, closing], [true, 0])
    assert.deepEqual(await client.closed(), EXPIRED)
    assert.ok(Date.now() >= exp * 1000)
  })
})

describe('a tunnel with a key of a file', () => {
  it('ends when the file has the key no more, though it has another one of the same name', async () => {
    await using upstream = await startUpstream()
    await using folder = await temporaryFolder()
    const kept = `ci:${sha256('new')}\n`
    const keys = await folder.write('keys', `ci:${sha256('old')}\n${kept}`)
    await using gateway = await startTestGateway(
      [
        `auth: { robots: { type: apiKey, keys: "${keys}" } }`,
        `routes: [${route(upstream, 'robots')}]`,
      ].join('\n'),
    )
    await using old = await connect(gateway, { 'X-Api-Key': 'old' })
    await using other = await connect(gateway, { 'X-Api-Key': 'new' })
    await writeFile(keys, kept)
    assert.deepEqual(await old.closed(), EXPIRED)
    await closeLine(gateway, { user: 'ci' })
    await assertOpen(other)
  })
})

describe('a tunnel that an authorization server let in', () => {
  it('ends when the server, asked again, says no', async () => {
    await using upstream = await startUpstream()
    const loggedOut = new Set<string>()
    await using server: HttpFixture = await httpFixture((request, response) => {
      response.writeHead(loggedOut.has(request.headers.cookie ?? '') ? 401 : 204).end()
    })
    await using gateway = await startTestGateway(
      [
        `auth: { portal: { type: forward, url: "${server.url}", recheck: 1s } }`,
        `routes: [${route(upstream, 'portal')}]`,
      ].join('\n'),
    )
    await using ann = await connect(gateway, { Cookie: 'session=ann' })
    await using bob = await connect(gateway, { Cookie: 'session=bob' })
    loggedOut.add('session=ann')
    assert.deepEqual(await ann.closed(), EXPIRED)
    await assertOpen(bob)
    const first = server.requests[0]?.rawHeaders
    const again = server.requests.slice(2).map(({ rawHeaders }) => rawHeaders)
    assert.ok(again.some((fields) => fields.join('\n') === first?.join('\n')))
  })

  it('stays or ends, as its check says, when the server cannot be asked', async () => {
    await using upstream = await startUpstream()
    await using servers = new AsyncDisposableStack()
    const server = servers.use(await httpFixture((_, response) => response.end()))
    const check = `type: forward, url: "${server.url}", recheck: 1s`
    await using gateway = await startTestGateway(
      [
        `auth: { closes: { ${check}, onRecheckError: close }, keeps: { ${check} } }`,
        'routes:',
        `  - ${route(upstream, 'closes', ', match: { path: /closes }')}`,
        `  - ${route(upstream, 'keeps')}`,
      ].join('\n'),
    )
    await using closing = await connect(gateway, {}, '/closes')
    await using kept = await connect(gateway, {})
    await servers.disposeAsync()
    assert.deepEqual(await closing.closed(), EXPIRED)
    await closeLine(gateway, { route: 'closes' })
    const failure = 'credentials could not be checked again'
    for (const name of ['closes', 'keeps']) {
      const line = await gateway.log(failure, { check: name, route: name })
      assert.match(String(line['cause']), /ECONNREFUSED/)
    }
    await assertOpen(kept)
  })
})
