import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { startAdmin, type AdminParts } from '../../src/admin/server.ts'
import type { AdminConfig } from '../../src/config/config.ts'
import { filesIn } from '../listen/tls-config.ts'
import { RawClient, rawClient } from '../support/raw-client.ts'
import { FakeGateway, LOOPBACK } from './fake-api.ts'

const { cert, key } = filesIn('tls')

async function start(parts: Partial<AdminParts> = {}, config: Partial<AdminConfig> = {}) {
  const admin = await startAdmin(
    { ...LOOPBACK, ...config },
    {
      metrics: async () => 'upgate_up 1\n',
      contentType: 'text/plain',
      isReady: () => true,
      api: new FakeGateway(),
      ...parts,
    },
  )
  const { address } = admin
  assert.ok(address.kind === 'tcp')
  const { port } = address
  const clients = new AsyncDisposableStack()
  return {
    port,
    /** Connections that stay. */
    async hold(count: number, from?: string, bytes = ''): Promise<RawClient[]> {
      const held: RawClient[] = []
      for (let left = count; left > 0; left -= 1) {
        const client = clients.use(await rawClient(port, from))
        client.write(bytes)
        held.push(client)
      }
      return held
    },
    async [Symbol.asyncDispose]() {
      await clients.disposeAsync()
      await admin.close()
    },
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`

async function answers(client: RawClient, path = '/healthz'): Promise<void> {
  client.write(get(path))
  assert.equal((await client.answer()).status, 200)
}

describe('the admin address answers probes and metrics', () => {
  it('beside silent connections of the same address, of which the oldest give way', async () => {
    await using admin = await start()
    const held = await admin.hold(100)
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      await using client = await rawClient(admin.port)
      await answers(client, path)
    }
    await held[0]?.gone()
    const last = held.at(-1) as RawClient
    await answers(last)
  })

  it('beside silent connections of many addresses that take all there are', async () => {
    await using admin = await start()
    for (let host = 2; host < 12; host += 1) await admin.hold(8, `127.0.0.${host}`)
    await using client = await rawClient(admin.port)
    await answers(client, '/metrics')
  })

  it('beside those that do not end their head or their body, or do not read their answer', async () => {
    await using admin = await start({ metrics: async () => 'x'.repeat(4_000_000) })
    await admin.hold(8, undefined, 'GET /metrics HTTP/1.1\r\nHost: ')
    const post =
      'POST /api/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'
    await admin.hold(8, undefined, post)
    for (const client of await admin.hold(8)) {
      client.socket.pause()
      client.write(get('/metrics'))
    }
    await using client = await rawClient(admin.port)
    await answers(client)
  })

  it('over TLS, beside clients that never begin with it', async () => {
    await using admin = await start({}, { tls: { cert, key } })
    const held = await admin.hold(70)
    const socket = tls.connect({
      port: admin.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readFileSync(cert),
      rejectUnauthorized: false,
    })
    await once(socket, 'secureConnect')
    await using client = new RawClient(socket)
    await answers(client)
    // It is idle now, and the newest: it stays while others give way.
    await admin.hold(7)
    await answers(client)
    await held[0]?.gone()
  })
})

describe('a connection to the admin address', () => {
  it('is closed after three seconds without a request', { timeout: 20_000 }, async () => {
    await using admin = await start()
    await using secure = await start({}, { tls: { cert, key } })
    const silent = [...(await admin.hold(1)), ...(await secure.hold(1))]
    await Promise.all(silent.map((client) => client.gone()))
  })

  it('stays while the gateway is at work on its call, and the new one is closed', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const all = Promise.withResolvers<void>()
    let begun = 0
    await using admin = await start({
      metrics: () => {
        begun += 1
        if (begun === 8) all.resolve()
        return promise
      },
    })
    const working = await admin.hold(8, undefined, get('/metrics'))
    await all.promise
    await using ninth = await rawClient(admin.port)
    await ninth.gone()
    await using other = await rawClient(admin.port, '127.0.0.2')
    await answers(other)
    resolve('upgate_up 1\n')
    for (const client of working) assert.equal((await client.answer()).status, 200)
    await using later = await rawClient(admin.port)
    await answers(later)
  })

  it('gives way although a body is behind its answer', async () => {
    await using admin = await start()
    const post = 'POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n'
    for (const client of await admin.hold(8, undefined, post)) {
      assert.equal((await client.answer()).status, 405)
      client.write('{}')
    }
    await using client = await rawClient(admin.port)
    await answers(client)
  })
})
