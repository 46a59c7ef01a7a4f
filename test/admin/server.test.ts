import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, linkSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { startAdmin, type Admin, type AdminParts } from '../../src/admin/server.ts'
import type { AdminConfig } from '../../src/config/config.ts'
import { fixtures } from '../config/load-text.ts'
import { callApi, FakeGateway, LOOPBACK } from './fake-api.ts'

const api = new FakeGateway()

const contentType = 'text/plain; version=0.0.4; charset=utf-8'

async function start(parts: Partial<AdminParts> = {}, config: Partial<AdminConfig> = {}) {
  const admin = await startAdmin(
    { ...LOOPBACK, ...config },
    { metrics: async () => 'upgate_up 1\n', contentType, isReady: () => true, api, ...parts },
  )
  return { admin, port: portOf(admin), [Symbol.asyncDispose]: () => admin.close() }
}

function portOf({ address }: Admin): number {
  assert.ok(address.kind === 'tcp')
  return address.port
}

function ask(port: number, path: string, method = 'GET') {
  return answerOf(http.request({ host: '127.0.0.1', port, path, method, agent: false }))
}

function askAt(socketPath: string, path: string) {
  return answerOf(http.request({ socketPath, path, agent: false }))
}

async function answerOf(request: http.ClientRequest) {
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

/** Sends bytes and returns all that comes back until the server closes. */
async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

describe('startAdmin', () => {
  it('serves the metrics with their content type', async () => {
    await using server = await start()
    const answer = await ask(server.port, '/metrics')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], contentType)
    assert.equal(answer.body, 'upgate_up 1\n')
  })

  it('ignores a query', async () => {
    await using server = await start()
    assert.equal((await ask(server.port, '/metrics?name=x')).body, 'upgate_up 1\n')
  })

  it('answers HEAD with the length and no body', async () => {
    await using server = await start()
    const answer = await ask(server.port, '/metrics', 'HEAD')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-length'], '12')
    assert.equal(answer.body, '')
  })

  it('answers 500 and goes on when the metrics cannot be read', async () => {
    let fails = true
    await using server = await start({
      metrics: () =>
        fails ? Promise.reject(new Error('secret detail')) : Promise.resolve('fine\n'),
    })
    const failed = await ask(server.port, '/metrics')
    assert.equal(failed.status, 500)
    assert.ok(!failed.body.includes('secret detail'))
    fails = false
    assert.equal((await ask(server.port, '/metrics')).body, 'fine\n')
  })

  it('tells readiness as it changes, while health stays', async () => {
    let ready = true
    await using server = await start({ isReady: () => ready })
    assert.equal((await ask(server.port, '/readyz')).status, 200)
    ready = false
    const answer = await ask(server.port, '/readyz')
    assert.equal(answer.status, 503)
    assert.match(answer.body, /shutting down/)
    assert.equal((await ask(server.port, '/healthz')).status, 200)
  })

  it('lists what there is under every other path', async () => {
    await using server = await start()
    for (const path of ['/', '/metrics/', '/Metrics', '//metrics', '/tunnels']) {
      const answer = await ask(server.port, path)
      assert.equal(answer.status, 404, path)
      for (const known of ['/metrics', '/healthz', '/readyz'])
        assert.ok(answer.body.includes(known))
    }
  })

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    it(`answers ${method} with 405 and what is allowed`, async () => {
      await using server = await start()
      const answer = await ask(server.port, '/metrics', method)
      assert.equal(answer.status, 405)
      assert.equal(answer.headers.allow, 'GET, HEAD')
    })
  }

  it('answers a request for an upgrade as if it asked for none', async () => {
    await using server = await start()
    const answer = await sendRaw(
      server.port,
      'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n',
    )
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  })

  it('refuses a head above 8 KiB with 431', async () => {
    await using server = await start()
    const answer = await sendRaw(
      server.port,
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9000)}\r\n\r\n`,
    )
    assert.match(answer, /^HTTP\/1\.1 431 /)
  })

  it('refuses what is no HTTP with 400', async () => {
    await using server = await start()
    assert.match(await sendRaw(server.port, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /)
  })

  it('listens on a unix socket, and removes it at the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-admin-'))
    const path = join(folder, 'admin.sock')
    const admin = await startAdmin(
      { ...LOOPBACK, address: { kind: 'unix', path } },
      { metrics: async () => '', contentType, isReady: () => true, api },
    )
    assert.deepEqual(admin.address, { kind: 'unix', path })
    assert.equal((await askAt(path, '/healthz')).body, 'ok\n')
    await admin.close()
    assert.ok(!existsSync(path))
    await rm(folder, { recursive: true })
  })

  it('has a unix socket of the mode of the config, and takes the place of one that nobody listens at', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-admin-'))
    const path = join(folder, 'admin.sock')
    // What a process leaves that was killed: its file.
    const killed = net.createServer().listen(`${path}.1`)
    await once(killed, 'listening')
    linkSync(`${path}.1`, path)
    killed.close()
    await once(killed, 'close')
    const parts = { metrics: async () => '', contentType, isReady: () => true, api }
    const config = { ...LOOPBACK, address: { kind: 'unix', path }, mode: 0o660 } as const
    const admin = await startAdmin(config, parts)
    assert.equal(statSync(path).mode & 0o777, 0o660)
    await assert.rejects(startAdmin(config, parts), { code: 'EADDRINUSE' })
    assert.equal((await askAt(path, '/healthz')).body, 'ok\n')
    await admin.reconfigure({ ...config, mode: 0o600 })
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await assert.rejects(
      admin.reconfigure({ ...config, token: 'another', owner: 'no-such-user' }),
      {
        message: /has no user no-such-user/,
      },
    )
    assert.equal((await askAt(path, '/metrics')).status, 200)
    await admin.close()
    await rm(folder, { recursive: true })
  })

  it('rejects when the address is taken', async () => {
    await using server = await start()
    const address = { kind: 'tcp', host: '127.0.0.1', port: server.port } as const
    const parts = { metrics: async () => '', contentType, isReady: () => true, api }
    await assert.rejects(startAdmin({ ...LOOPBACK, address }, parts), { code: 'EADDRINUSE' })
  })

  it('cuts open connections when it closes', async () => {
    const server = await start()
    const socket = net.connect(server.port, '127.0.0.1')
    socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
    const closed = once(socket, 'close')
    await server.admin.close()
    await closed
  })
})

const TLS = { cert: `${fixtures}/tls/cert.pem`, key: `${fixtures}/tls/key.pem` }

/** The status, over a connection that trusts the certificate of the fixtures. */
async function askTls(port: number, path: string, headers: http.OutgoingHttpHeaders = {}) {
  const request = https
    .request({
      host: '127.0.0.1',
      port,
      path,
      headers,
      agent: false,
      ca: readFileSync(TLS.cert),
      checkServerIdentity: () => undefined,
    })
    .end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  await text(response)
  return response.statusCode
}

describe('startAdmin with TLS', () => {
  it('serves pages and the API over it, and nothing without', async () => {
    await using server = await start({}, { tls: TLS })
    assert.equal(await askTls(server.port, '/healthz'), 200)
    assert.equal(await askTls(server.port, '/api'), 200)
    await assert.rejects(ask(server.port, '/healthz'))
  })

  it('rejects when the certificate cannot be read', async () => {
    await assert.rejects(start({}, { tls: { ...TLS, cert: '/nonexistent' } }), { code: 'ENOENT' })
  })
})

describe('startAdmin with a token', () => {
  const authorization = 'Bearer a-token-of-some-length'
  const config = { token: 'a-token-of-some-length' }

  it('asks for it on every page but /healthz and /readyz', async () => {
    await using server = await start({}, config)
    for (const path of ['/metrics', '/', '/api', '/api/tunnels', '/reload', '/nothing']) {
      const answer = await ask(server.port, path)
      assert.equal(answer.status, 401, path)
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer /)
    }
    for (const path of ['/healthz', '/readyz']) {
      assert.equal((await ask(server.port, path)).status, 200, path)
    }
    const answer = await sendRaw(
      server.port,
      `GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\nConnection: close\r\n\r\n`,
    )
    assert.match(answer, /upgate_up 1/)
  })
})

describe('Admin.reconfigure', () => {
  it('takes another token and other hosts into use', async () => {
    await using server = await start({}, { token: 'the-first-token-of-all' })
    const call = (token: string, Host: string) =>
      callApi(server.admin.address, 'GET', '/api', {
        headers: { Authorization: `Bearer ${token}`, Host },
      })
    assert.equal((await call('the-first-token-of-all', 'localhost')).status, 200)
    assert.equal((await call('the-first-token-of-all', 'ops.example.com')).status, 421)
    const { address } = server.admin
    await server.admin.reconfigure({
      ...LOOPBACK,
      address,
      token: 'another-token-than-before',
      hosts: ['ops.example.com'],
    })
    assert.equal((await call('the-first-token-of-all', 'localhost')).status, 401)
    assert.equal((await call('another-token-than-before', 'ops.example.com')).status, 200)
  })

  it('begins and ends TLS on the same port, and takes a renewed certificate', async () => {
    await using server = await start()
    const { address } = server.admin
    const { port } = server
    await server.admin.reconfigure({ ...LOOPBACK, address, tls: TLS })
    assert.equal(await askTls(port, '/healthz'), 200)
    await server.admin.reconfigure({ ...LOOPBACK, address, tls: { ...TLS } })
    assert.equal(await askTls(port, '/healthz'), 200)
    await server.admin.reconfigure({ ...LOOPBACK, address })
    assert.equal((await ask(port, '/healthz')).status, 200)
    assert.deepEqual(server.admin.address, address)
  })

  it('answers the call that is in progress when TLS begins, and closes its connection', async () => {
    const asked = Promise.withResolvers<void>()
    const told = Promise.withResolvers<string>()
    const metrics = (): Promise<string> => (asked.resolve(), told.promise)
    await using server = await start({ metrics })
    const answer = sendRaw(server.port, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await asked.promise
    await server.admin.reconfigure({ ...LOOPBACK, address: server.admin.address, tls: TLS })
    told.resolve('late\n')
    assert.match(await answer, /^HTTP\/1\.1 200 [^]*Connection: close[^]*late\n$/)
    assert.equal(await askTls(server.port, '/healthz'), 200)
  })

  it('leaves all as it was when the certificate cannot be read', async () => {
    await using server = await start({}, { tls: TLS })
    const { address } = server.admin
    const wrong = { ...TLS, key: '/nonexistent' }
    await assert.rejects(
      server.admin.reconfigure({ ...LOOPBACK, address, tls: wrong, token: 'x'.repeat(16) }),
      { code: 'ENOENT' },
    )
    assert.equal(await askTls(server.port, '/api'), 200)
  })

  it('cuts what it has retired when it closes', async () => {
    const asked = Promise.withResolvers<void>()
    const server = await start({ metrics: () => (asked.resolve(), new Promise(() => {})) })
    const cut = sendRaw(server.port, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await asked.promise
    await server.admin.reconfigure({ ...LOOPBACK, address: server.admin.address, tls: TLS })
    await server.admin.close()
    assert.equal(await cut, '')
  })
})
