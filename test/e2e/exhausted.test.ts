/** A gateway whose process has no descriptors left: nobody else is blamed for it, and all is well when there are some again. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { handshake, rawClient, type RawClient } from '../support/raw-client.ts'
import { secureServer } from '../support/secure-server.ts'
import { wsServer } from '../support/ws-server.ts'

const prlimit = findProgram('prlimit', 'util-linux')
const ca = join(import.meta.dirname, '../fixtures/tls/ca.pem')

/** {"alg":"RS256","kid":"a"}.{}.x: enough for the keys to be fetched. */
const TOKEN = 'Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.eA'

function get(path: string, lines: readonly string[] = []): string {
  return [`GET ${path} HTTP/1.1`, 'Host: localhost', ...lines, '\r\n'].join('\r\n')
}

/** So many descriptors that the process can have none more: what it has stays. */
async function takeDescriptors({ program: { child } }: GatewayProcess): Promise<void> {
  const numbers = new Set((await readdir(`/proc/${child.pid}/fd`)).map(Number))
  let free = 0
  while (numbers.has(free)) free += 1
  await setDescriptors(child.pid, free)
}

async function giveDescriptors({ program: { child } }: GatewayProcess): Promise<void> {
  await setDescriptors(child.pid, 1000)
}

async function setDescriptors(pid: number | undefined, count: number): Promise<void> {
  // The hard limit stays, so that the soft one can be raised again.
  const exit = await runProgram(prlimit.path, [`--pid=${pid}`, `--nofile=${count}:`])
  assert.equal(exit.code, 0, exit.stderr)
}

/** One value of /metrics, over a connection that is there. */
async function metric(admin: RawClient, series: string): Promise<number> {
  admin.write(get('/metrics'))
  const { status, body } = await admin.answer()
  assert.equal(status, 200)
  const line = body.split('\n').find((each) => each.startsWith(`${series} `))
  assert.ok(line !== undefined, `no ${series}`)
  return Number(line.split(' ')[1])
}

describe('a process whose limit of descriptors is below that of its config', () => {
  it('says at the start and at a reload what it needs', { skip: prlimit.skip }, async () => {
    const yaml = (connections: number): string => `
listeners: [{ address: "127.0.0.1:0", connections: ${connections} }]
routes: [{ upstream: "http://127.0.0.1:9" }]`
    await using gateway = await startGatewayProcess(yaml(9_000_000))
    const [line] = await gateway.log('descriptors too few for the config', 1)
    assert.equal(line?.['needed'], 18_000_256)
    assert.ok(Number(line?.['limit']) < 18_000_256)
    await setDescriptors(gateway.program.child.pid, 500)
    await gateway.rewrite(yaml(123))
    gateway.program.child.kill('SIGHUP')
    const [, again] = await gateway.log('descriptors too few for the config', 2)
    assert.deepEqual([again?.['limit'], again?.['needed']], [500, 502])
    await gateway.rewrite(yaml(122))
    gateway.program.child.kill('SIGHUP')
    await gateway.log('config reloaded', 2)
    assert.equal(gateway.logged('descriptors too few for the config').length, 2)
  })
})

describe('clients that take all the descriptors there are for them', () => {
  for (const [what, listener] of [
    ['over TCP', ''],
    ['over a listener of Node', ', proxyProtocol: optional'],
  ] as const) {
    it(`leave the admin address its own (${what})`, async () => {
      await using upstream = await wsServer()
      const yaml = `
listeners: [{ address: "127.0.0.1:0"${listener} }]
trustedProxies: ["127.0.0.2"]
routes: [{ upstream: "${upstream.url}" }]
`
      await using gateway = await startGatewayProcess(yaml, { descriptors: 160 })
      await using clients = new AsyncDisposableStack()
      const tunnels: RawClient[] = []
      // Each takes two.
      for (let count = 0; count < 30; count += 1) {
        const client = clients.use(await rawClient(gateway.port))
        client.write(handshake())
        assert.equal((await client.head()).status, 101)
        tunnels.push(client)
      }
      for (let count = 0; count < 200; count += 1) clients.use(await rawClient(gateway.port))
      await gateway.log('no descriptors left', 1)
      for (let count = 0; count < 5; count += 1) {
        await using probe = await rawClient(gateway.adminPort)
        probe.write(get('/healthz'))
        assert.equal((await probe.answer()).status, 200)
        assert.ok((await metric(probe, 'upgate_descriptors_exhausted_total')) > 0)
        assert.ok((await metric(probe, 'process_open_fds')) < 160)
      }
      await clients.disposeAsync()
      await using late = await rawClient(gateway.port)
      late.write(handshake())
      assert.equal((await late.head()).status, 101)
    })
  }

  it(
    'have more of them when the limit of the process is raised',
    { skip: prlimit.skip },
    async () => {
      await using upstream = await wsServer()
      await using gateway = await startGatewayProcess(`routes: [{ upstream: "${upstream.url}" }]`)
      const { pid } = gateway.program.child
      const open = (await readdir(`/proc/${pid}/fd`)).length
      await setDescriptors(pid, open + 60)
      await using clients = new AsyncDisposableStack()
      for (let count = 0; count < 100; count += 1) clients.use(await rawClient(gateway.port))
      await gateway.log('no descriptors left', 1)
      await setDescriptors(pid, 1000)
      // The gateway looks at its limit once a second.
      const startMs = performance.now()
      while (performance.now() < startMs + 10_000) {
        // One for which there is none is closed.
        await using client = await rawClient(gateway.port)
        client.write(handshake())
        const isServed = await client.more().catch(() => false)
        if (!isServed) continue
        assert.equal((await client.head()).status, 101)
        return
      }
      assert.fail('nobody is served')
    },
  )

  it('are answered 503 where one is left for them, and none for their endpoint', async () => {
    await using upstream = await wsServer()
    const yaml = `
routes:
  - { match: { path: /unserved }, http: false, upstream: "${upstream.url}" }
  - { upstream: "${upstream.url}" }
`
    await using gateway = await startGatewayProcess(yaml, { descriptors: 160 })
    await using clients = new AsyncDisposableStack()
    const served: RawClient[] = []
    let isOpen = true
    while (isOpen) {
      const client = clients.use(await rawClient(gateway.port))
      client.write(get('/unserved'))
      isOpen =
        (await Promise.race([
          client.more().catch(() => false),
          gateway.log('no descriptors left', 1),
        ])) === true
      if (isOpen) served.push(client)
    }
    const [client] = served as [RawClient]
    await client.answer()
    for (const request of [get('/'), handshake()]) {
      client.write(request)
      const { status, body } = await client.answer()
      assert.equal(status, 503)
      assert.match(body, /E_GATEWAY_EXHAUSTED/)
    }
    assert.deepEqual(gateway.logged('endpoint down'), [])
    await using probe = await rawClient(gateway.adminPort)
    probe.write(get('/readyz'))
    assert.equal((await probe.answer()).status, 200)
  })
})

describe('a process without descriptors', { skip: prlimit.skip }, () => {
  it('answers 503 and says so itself, whoever it would have connected to, and serves again with the first one', async () => {
    await using plain = await wsServer()
    await using secure = await secureServer()
    await using http2 = await http2Endpoint()
    const { port } = new URL(plain.url)
    await using gateway = await startGatewayProcess(`
upstreams:
  secure: { endpoints: ["${secure.url}"], tls: { ca: "${ca}" } }
auth:
  portal: { type: forward, url: "${plain.url}/" }
  people: { type: jwt, jwks: "${plain.url}/keys" }
routes:
  - { match: { path: /unserved }, http: false, upstream: "${plain.url}" }
  - { match: { path: /name }, upstream: "http://localhost:${port}" }
  - { match: { path: /secure }, upstream: secure }
  - { match: { path: /two }, upstream: [{ url: "${http2.url}", http2: true }] }
  - { match: { path: /portal }, auth: [portal], upstream: "${plain.url}" }
  - { match: { path: /people }, auth: [people], upstream: "${plain.url}" }
  - { upstream: "${plain.url}" }
`)
    await using clients = new AsyncDisposableStack()
    const admin = clients.use(await rawClient(gateway.adminPort))
    const exhausted = 'upgate_descriptors_exhausted_total'
    assert.equal(await metric(admin, exhausted), 0)
    const requests: string[] = []
    for (const path of ['/', '/name', '/secure', '/two']) requests.push(get(path), handshake(path))
    requests.push(get('/portal'), get('/people', [TOKEN]))
    const asked: { readonly request: string; readonly client: RawClient }[] = []
    for (const request of requests) {
      const client = clients.use(await rawClient(gateway.port))
      // It is accepted, and no connection to an endpoint is there.
      client.write(get('/unserved'))
      await client.answer()
      asked.push({ request, client })
    }
    await takeDescriptors(gateway)
    for (const { request, client } of asked) {
      client.write(request)
      const { status, fields, body } = await client.answer()
      const line = request.split('\r\n', 1).join()
      assert.equal(status, 503, line)
      assert.match(fields.get('retry-after') ?? '', /^[1-9]/, line)
      assert.equal((JSON.parse(body) as { code: string }).code, 'E_GATEWAY_EXHAUSTED', line)
    }
    assert.ok((await metric(admin, exhausted)) >= asked.length)
    await gateway.log('no descriptors left', 1)
    assert.deepEqual(gateway.logged('endpoint down'), [])
    await giveDescriptors(gateway)
    for (const { request, client } of asked) {
      client.write(request)
      const { status } = await client.head()
      const isRight = request.includes('Upgrade:') ? status === 101 : status !== 503
      assert.ok(isRight, `${request.split('\r\n', 1).join()}: ${status}`)
    }
    assert.equal(gateway.logged('no descriptors left').length, 1)
  })

  for (const [what, listener] of [
    ['over TCP', ''],
    ['over a listener of Node', ', proxyProtocol: optional'],
  ] as const) {
    it(`does not spin when clients come (${what}), and accepts them when it can again`, async () => {
      await using upstream = await wsServer()
      await using gateway = await startGatewayProcess(`
listeners: [{ address: "127.0.0.1:0"${listener} }]
trustedProxies: ["127.0.0.2"]
routes: [{ upstream: "${upstream.url}" }]
`)
      await using clients = new AsyncDisposableStack()
      const admin = clients.use(await rawClient(gateway.adminPort))
      await metric(admin, 'process_cpu_seconds_total')
      await takeDescriptors(gateway)
      const waiting: RawClient[] = []
      for (let count = 0; count < 10; count += 1) {
        const client = clients.use(await rawClient(gateway.port))
        client.write(handshake())
        waiting.push(client)
      }
      await gateway.log('no descriptors left', 1)
      const before = await metric(admin, 'process_cpu_seconds_total')
      await setTimeout(1000)
      const cpuSeconds = (await metric(admin, 'process_cpu_seconds_total')) - before
      assert.ok(cpuSeconds < 0.5, `${cpuSeconds} s of CPU in 1 s`)
      await giveDescriptors(gateway)
      await using late = await rawClient(gateway.port)
      late.write(handshake())
      assert.equal((await late.head()).status, 101)
    })
  }
})
