import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { http2Client } from '../support/http2-client.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

/** A way back to a gateway that is not started yet, as through a proxy that passes connections on. */
interface WayBack extends AsyncDisposable {
  readonly port: number
  connections: number
  to: number
}

async function wayBack(): Promise<WayBack> {
  const open = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    way.connections += 1
    const on = net.connect(way.to, '127.0.0.1')
    for (const each of [socket, on]) {
      open.add(each)
      each.on('error', () => {})
      each.on('close', () => {
        socket.destroy()
        on.destroy()
      })
    }
    socket.pipe(on).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const way: WayBack = {
    port: (server.address() as net.AddressInfo).port,
    connections: 0,
    to: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
  return way
}

function get(lines: readonly string[] = [], version = '1.1'): string {
  return [`GET / HTTP/${version}`, 'Host: gateway.test', ...lines, '\r\n'].join('\r\n')
}

/** Answers one request of each connection, and tells the values of its Via. */
async function seeing(vias: string[][]): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { fields, lines } = await connection.head()
      vias.push(lines.flatMap((line) => (/^via:/i.test(line) ? [line.slice('via: '.length)] : [])))
      const isUpgrade = fields.has('upgrade')
      connection.write(isUpgrade ? SWITCHING : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      if (isUpgrade) return
    }
  })
}

describe('a request that comes back', () => {
  for (const { over, endpoint } of [
    { over: 'HTTP/1.1', endpoint: (url: string) => `"${url}"` },
    { over: 'HTTP/2', endpoint: (url: string) => `[{ url: "${url}", http2: true }]` },
  ]) {
    for (const { kind, request } of [
      { kind: 'a plain one', request: get() },
      { kind: 'an upgrade', request: handshake() },
    ]) {
      it(`is answered 508 at its first return over ${over} (${kind})`, async () => {
        await using back = await wayBack()
        await using gateway = await startTestGateway(
          `listeners: [{ address: "127.0.0.1:0", h2c: true }]
routes: [{ name: a, upstream: ${endpoint(`http://127.0.0.1:${back.port}`)} }]`,
        )
        back.to = gateway.port
        await using client = await rawClient(gateway.port)
        client.write(request)
        const { status, body } = await client.answer()
        assert.equal(status, 508)
        assert.match(body, /E_LOOP/)
        assert.equal(back.connections, 1)
        const { path, cause: _, ...line } = await gateway.log('request', { code: 'E_LOOP' })
        assert.deepEqual([path, line['status']], ['/', 508])
      })
    }
  }

  it('is answered 508 where it is a question to an authorization server', async () => {
    await using back = await wayBack()
    await using gateway = await startTestGateway(
      `auth: { portal: { type: forward, url: "http://127.0.0.1:${back.port}/verify" } }
routes: [{ auth: [portal], upstream: "http://127.0.0.1:1" }]`,
    )
    back.to = gateway.port
    await using client = await rawClient(gateway.port)
    client.write(get())
    assert.equal((await client.head()).status, 508)
    assert.equal(back.connections, 1)
  })

  it('is known by a name among others, whoever sends it, and before its credentials are asked for', async () => {
    const vias: string[][] = []
    await using upstream = await seeing(vias)
    await using gateway = await startTestGateway(
      `auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys } }
routes:
  - { match: { path: /staff }, auth: [robots], upstream: "${upstream.url}" }
  - { upstream: "${upstream.url}" }`,
      { keys: `ci:${'0'.repeat(64)}\n` },
    )
    await using client = await rawClient(gateway.port)
    client.write(get())
    assert.equal((await client.answer()).status, 200)
    const own = vias[0]?.[0] ?? ''
    for (const lines of [
      [`Via: 1.0 fred, ${own}`, 'Via: 1.1 other'],
      [`Via: HTTP/1.1 proxy (a comment)`, `Via: ${own} (upgate), 1.1 last`],
      ['Connection: Via', `via: ${own}`],
    ]) {
      client.write(get(lines).replace('/ ', '/staff '))
      assert.equal((await client.answer()).status, 508)
    }
    assert.equal(vias.length, 1)
  })
})

describe('Via', () => {
  it('has the version that the request came by, and what came stays in front', async () => {
    const vias: string[][] = []
    await using upstream = await seeing(vias)
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", h2c: true }]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    for (const request of [
      get(['Via: 1.0 fred, 1.1 p.example.net']),
      get(['Connection: Via', 'Via: 1.1 kept']),
      get([], '1.0'),
      handshake(),
    ]) {
      await using client = await rawClient(gateway.port)
      client.write(request)
      assert.ok([101, 200].includes((await client.head()).status))
    }
    {
      await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
      assert.equal((await client.ask('/')).status, 200)
    }
    const name = /upgate-[0-9a-f]{16}$/.exec(vias[0]?.at(-1) ?? '')?.[0]
    assert.ok(name)
    assert.deepEqual(vias, [
      ['1.0 fred, 1.1 p.example.net', `1.1 ${name}`],
      ['1.1 kept', `1.1 ${name}`],
      [`1.0 ${name}`],
      [`1.1 ${name}`],
      [`2.0 ${name}`],
    ])
  })

  it('is of each gateway alone, so that one may stand before another', async () => {
    const vias: string[][] = []
    await using upstream = await seeing(vias)
    await using inner = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using outer = await startTestGateway(
      `routes: [{ upstream: "http://127.0.0.1:${inner.port}" }]`,
    )
    await using client = await rawClient(outer.port)
    client.write(get())
    assert.equal((await client.answer()).status, 200)
    assert.equal(new Set(vias[0]).size, 2)
  })

  it('is neither written nor read with via: off, also after a reload', async () => {
    const vias: string[][] = []
    await using upstream = await seeing(vias)
    const routes = `routes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(routes)
    await using client = await rawClient(gateway.port)
    client.write(get())
    assert.equal((await client.answer()).status, 200)
    const own = vias[0]?.[0] ?? ''
    assert.equal((await gateway.reload(`via: off\n${routes}`)).ok, true)
    client.write(get([`Via: ${own}`]))
    assert.equal((await client.answer()).status, 200)
    assert.deepEqual(vias[1], [own])
  })

  it('can be removed and set by a route', async () => {
    const vias: string[][] = []
    await using upstream = await seeing(vias)
    await using gateway = await startTestGateway(
      `routes: [{ headers: { request: { remove: [Via] } }, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(get(['Via: 1.1 other']))
    assert.equal((await client.answer()).status, 200)
    assert.deepEqual(vias, [[]])
  })
})
