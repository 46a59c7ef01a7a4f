import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { startAdmin, type Admin, type AdminParts } from '../../src/admin/server.ts'

const contentType = 'text/plain; version=0.0.4; charset=utf-8'

async function start(parts: Partial<AdminParts> = {}) {
  const admin = await startAdmin(
    { address: { kind: 'tcp', host: '127.0.0.1', port: 0 } },
    { metrics: async () => 'upgate_up 1\n', contentType, isReady: () => true, ...parts },
  )
  return { admin, port: portOf(admin), [Symbol.asyncDispose]: () => admin.close() }
}

function portOf({ address }: Admin): number {
  assert.ok(address.kind === 'tcp')
  return address.port
}

async function ask(port: number, path: string, method = 'GET') {
  const request = http.request({ host: '127.0.0.1', port, path, method, agent: false }).end()
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

  it('closes connections beyond the 64th', async () => {
    await using server = await start()
    const sockets: net.Socket[] = []
    for (let count = 0; count < 64; count += 1) {
      const socket = net.connect(server.port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      sockets.push(socket)
    }
    // An answer on the last one shows that all 64 were accepted.
    const last = sockets.at(-1) as net.Socket
    last.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(last, 'data')
    assert.equal(await sendRaw(server.port, ''), '')
    await Promise.all(sockets.map((socket) => (socket.destroy(), once(socket, 'close'))))
  })

  it('listens on a unix socket, and removes it at the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-admin-'))
    const path = join(folder, 'admin.sock')
    const admin = await startAdmin(
      { address: { kind: 'unix', path } },
      { metrics: async () => '', contentType, isReady: () => true },
    )
    assert.deepEqual(admin.address, { kind: 'unix', path })
    const request = http.request({ socketPath: path, path: '/healthz', agent: false }).end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    assert.equal(await text(response), 'ok\n')
    await admin.close()
    assert.ok(!existsSync(path))
    await rm(folder, { recursive: true })
  })

  it('rejects when the address is taken', async () => {
    await using server = await start()
    const address = { kind: 'tcp', host: '127.0.0.1', port: server.port } as const
    const parts = { metrics: async () => '', contentType, isReady: () => true }
    await assert.rejects(startAdmin({ address }, parts), { code: 'EADDRINUSE' })
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
