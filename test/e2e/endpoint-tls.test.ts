import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Endpoint, EndpointTls } from '../../src/balance/endpoint.ts'
import { TlsSessions } from '../../src/balance/tls-sessions.ts'
import { Refusal } from '../../src/errors.ts'
import { dial } from '../../src/handshake/dial.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { nginx, startNginx } from '../support/nginx.ts'
import { handshake, rawClient } from '../support/raw-client.ts'
import { secureServer } from '../support/secure-server.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const read = (name: string): string => readFileSync(join(fixtures, name), 'utf8')

const ca = read('tls/ca.pem')
const selfSigned = { cert: read('config/tls/cert.pem'), key: read('config/tls/key.pem') }

/** Beside every config here. */
const files = {
  'ca.pem': ca,
  'other-ca.pem': read('tls/other-ca.pem'),
  'client.pem': read('tls/cert.pem'),
  'client-key.pem': read('tls/key.pem'),
}

const MANY = 200
const HANDSHAKES = 'upgate_upstream_tls_handshakes_total'

/** One upstream behind `/name/` for each entry: its URLs and its `tls`. */
function configOf(
  upstreams: Readonly<Record<string, readonly [urls: string, tls: string]>>,
): string {
  const entries = Object.entries(upstreams)
  return [
    'upstreams:',
    ...entries.map(([name, [urls, tls]]) => `  ${name}: { endpoints: [${urls}], tls: ${tls} }`),
    'routes:',
    ...entries.map(
      ([name]) => `  - { name: ${name}, match: { path: /${name} }, upstream: ${name} }`,
    ),
    '',
  ].join('\n')
}

/** Opens a WebSocket, has one message echoed, and closes it. */
async function visit(gateway: TestGateway, path: string): Promise<void> {
  await using client = await wsClient(`ws://127.0.0.1:${gateway.port}${path}`)
  client.socket.send('hello')
  assert.equal(String((await client.message()).data), 'hello')
}

/** The status of the answer to a handshake. */
async function status(gateway: TestGateway, path: string): Promise<number> {
  await using client = await rawClient(gateway.port)
  client.write(handshake(path))
  return (await client.head()).status
}

/** The status of the answer to a plain request. */
async function plainStatus(gateway: TestGateway, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${gateway.port}${path}`)
  await response.text()
  return response.status
}

async function handshakes(
  gateway: TestGateway,
  upstream: string,
): Promise<[full: number, resumed: number]> {
  return [
    await gateway.metric(HANDSHAKES, { upstream, resumed: 'false' }),
    await gateway.metric(HANDSHAKES, { upstream, resumed: 'true' }),
  ]
}

function count(values: readonly boolean[], wanted: boolean): number {
  return values.filter((value) => value === wanted).length
}

describe('TLS sessions with an endpoint', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`are resumed by ${MANY} WebSockets in a row, but for the first (${maxVersion})`, async () => {
      await using endpoint = await secureServer({ maxVersion })
      const yaml = configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })
      await using gateway = await startTestGateway(yaml, files)
      for (let visits = 0; visits < MANY; visits += 1) await visit(gateway, '/chat')
      assert.equal(endpoint.reused.length, MANY)
      assert.deepEqual([endpoint.reused[0], count(endpoint.reused, false)], [false, 1])
      assert.deepEqual(await handshakes(gateway, 'chat'), [1, MANY - 1])
    })
  }

  it('are resumed by clients that come all at once', async () => {
    await using endpoint = await secureServer()
    const yaml = configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })
    await using gateway = await startTestGateway(yaml, files)
    await visit(gateway, '/chat')
    await Promise.all(Array.from({ length: 50 }, () => visit(gateway, '/chat')))
    assert.equal(count(endpoint.reused, false), 1)
  })

  it('are shared by upgrades and plain requests', async () => {
    await using endpoint = await secureServer()
    const yaml = configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })
    await using gateway = await startTestGateway(yaml, files)
    await visit(gateway, '/chat')
    assert.equal(await plainStatus(gateway, '/chat'), 200)
    await visit(gateway, '/chat')
    assert.deepEqual(endpoint.reused, [false, true, true])
  })

  it('outlive a reload that leaves TLS as it is, and no other', async () => {
    await using endpoint = await secureServer()
    const yaml = (tls: string): string => configOf({ chat: [endpoint.url, tls] })
    await using gateway = await startTestGateway(yaml('{ ca: ./ca.pem }'), files)
    const resumes = async (): Promise<boolean | undefined> => {
      await visit(gateway, '/chat')
      return endpoint.reused.at(-1)
    }
    assert.equal(await resumes(), false)
    await gateway.reload(`${yaml('{ ca: ./ca.pem }')}trustedProxies: [10.0.0.0/8]\n`)
    assert.equal(await resumes(), true)
    const pair = 'cert: ./client.pem, key: ./client-key.pem'
    for (const tls of [
      '{ ca: ./ca.pem, serverName: localhost }',
      `{ ca: ./ca.pem, ${pair} }`,
      `{ ca: ./ca.pem, ${pair}, minVersion: TLSv1.3 }`,
      '{ ca: ./ca.pem, insecure: true }',
      '{ ca: ./ca.pem }',
    ]) {
      assert.equal((await gateway.reload(yaml(tls))).ok, true)
      assert.equal(await resumes(), false, tls)
      assert.equal(await resumes(), true, tls)
    }
    // The same names, and another file: who was trusted is trusted no more, whatever was resumed before.
    await gateway.reload(yaml('{ ca: ./ca.pem }'), { 'ca.pem': files['other-ca.pem'] })
    assert.equal(await status(gateway, '/chat'), 502)
    assert.deepEqual(await handshakes(gateway, 'chat'), [6, 6])
  })

  it(`are resumed by ${MANY} WebSockets in a row to an nginx`, { skip: nginx.skip }, async () => {
    const reused: unknown[] = []
    await using behind = await wsServer({}, (socket, { headers }) => {
      reused.push(headers['x-reused'])
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    })
    await using endpoint = await secureNginx(behind.port)
    const yaml = configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })
    await using gateway = await startTestGateway(yaml, files)
    for (let visits = 0; visits < MANY; visits += 1) await visit(gateway, '/chat')
    assert.deepEqual(reused, ['.', ...Array.from({ length: MANY - 1 }, () => 'r')])
  })

  it(
    'end an hour after the full handshake, however often they were resumed',
    { skip: nginx.skip },
    async () => {
      await using endpoint = await secureNginx(1)
      const clock = { nowMs: 0 }
      const sessions = new TlsSessions(() => clock.nowMs)
      const tls = { ...endpointTls({ serverName: 'localhost', ca }), sessions }
      for (const minutes of [0, 20, 40, 59, 60, 61]) {
        clock.nowMs = minutes * 60_000
        await ask(endpointAt(endpoint.port, tls))
      }
      assert.deepEqual(tls.handshakes, { full: 2, resumed: 4 })
    },
  )

  it('cost less than full handshakes', { skip: nginx.skip }, async (t) => {
    await using endpoint = await secureNginx(1)
    const tls = endpointTls({ serverName: 'localhost', ca })
    const resuming = endpointAt(endpoint.port, tls)
    await ask(resuming)
    const cpu: number[] = []
    for (const isNew of [true, false]) {
      const before = process.cpuUsage()
      for (let dials = 0; dials < MANY; dials += 1) {
        await ask(isNew ? { ...resuming, tls: { ...tls, sessions: new TlsSessions() } } : resuming)
      }
      const { user, system } = process.cpuUsage(before)
      cpu.push((user + system) / 1000)
    }
    const [full = 0, resumed = 0] = cpu
    const ms = (value: number): string => `${value.toFixed(0)} ms`
    t.diagnostic(
      `CPU of ${MANY} dials: ${ms(full)} in full, ${ms(resumed)} resumed: ${(full / resumed).toFixed(1)} times less`,
    )
    assert.deepEqual(tls.handshakes, { full: MANY + 1, resumed: MANY })
  })
})

/** With TLS in front of a server at a port of this machine, which is told whether a session was resumed and who the client is. */
async function secureNginx(port: number, more = '') {
  const folder = join(fixtures, 'tls')
  const endpoint = await startNginx(
    `ssl_certificate ${folder}/cert.pem;
    ssl_certificate_key ${folder}/key.pem;
    ${more}
    location = /hello { return 200 hello; }
    location / {
      proxy_pass http://127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header X-Reused $ssl_session_reused;
      proxy_set_header X-Subject $ssl_client_s_dn;
    }`,
    { listen: 'ssl' },
  )
  return { ...endpoint, url: `https://127.0.0.1:${endpoint.port}` }
}

function endpointAt(port: number, tls: EndpointTls): Endpoint {
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const
  return { id: 'u', url: 'u', address, tls, weight: 1, inUse: 0, up: true, draining: false }
}

/** One request over a connection of its own, to the end of the answer. */
async function ask(endpoint: Endpoint): Promise<void> {
  const dialed = Promise.withResolvers<Socket | Refusal>()
  dial(endpoint, { connectTimeoutMs: 20_000 }, (result) => {
    if (!(result instanceof Refusal)) result.on('error', () => {})
    dialed.resolve(result)
  })
  const socket = await dialed.promise
  assert.ok(!(socket instanceof Refusal))
  socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  assert.match(text, /hello$/)
}

describe('the client certificate', () => {
  const pair = '{ ca: ./ca.pem, cert: ./client.pem, key: ./client-key.pem }'

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is shown to an endpoint that asks, by upgrades and plain requests (${maxVersion})`, async () => {
      await using endpoint = await secureServer({ maxVersion, requestCert: true, ca })
      await using gateway = await startTestGateway(configOf({ chat: [endpoint.url, pair] }), files)
      await visit(gateway, '/chat')
      assert.equal(await plainStatus(gateway, '/chat'), 200)
      assert.deepEqual(endpoint.subjects, ['localhost', 'localhost'])
    })

    it(`is missed by an endpoint with a cause that says so (${maxVersion})`, async () => {
      await using endpoint = await secureServer({ maxVersion, requestCert: true, ca })
      const yaml = configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })
      await using gateway = await startTestGateway(yaml, files)
      assert.equal(await status(gateway, '/chat'), 502)
      assert.equal(await plainStatus(gateway, '/chat'), 502)
      for (const protocol of ['websocket', undefined]) {
        const line = await gateway.log('request', { protocol })
        assert.equal(line['code'], 'E_UPSTREAM_TLS')
        assert.match(String(line['cause']), /the endpoint wants .*a client certificate \(tls\.cert/)
      }
      await gateway.log('endpoint down')
      assert.deepEqual(endpoint.reused, [])
    })
  }

  it('is shown to an nginx that asks', { skip: nginx.skip }, async () => {
    const subjects: unknown[] = []
    await using behind = await wsServer({}, (socket, { headers }) => {
      subjects.push(headers['x-subject'])
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    })
    const verify = `ssl_client_certificate ${join(fixtures, 'tls/ca.pem')}; ssl_verify_client on;`
    await using endpoint = await secureNginx(behind.port, verify)
    const yaml = configOf({
      known: [endpoint.url, pair],
      unknown: [endpoint.url, '{ ca: ./ca.pem }'],
    })
    await using gateway = await startTestGateway(yaml, files)
    await visit(gateway, '/known')
    assert.equal(await status(gateway, '/unknown'), 400)
    await visit(gateway, '/known')
    assert.deepEqual(subjects, ['CN=localhost', 'CN=localhost'])
  })
})

describe('an endpoint that fails in TLS', () => {
  it('is set aside for an older version than minVersion, and the next one serves', async () => {
    await using old = await secureServer({ maxVersion: 'TLSv1.2' })
    await using young = await secureServer()
    const yaml = configOf({
      both: [`${old.url}, ${young.url}`, '{ ca: ./ca.pem, minVersion: TLSv1.3 }'],
      alone: [old.url, '{ ca: ./ca.pem, minVersion: TLSv1.3 }'],
    })
    await using gateway = await startTestGateway(yaml, files)
    for (let visits = 0; visits < 4; visits += 1) await visit(gateway, '/both')
    await gateway.log('endpoint down', { upstream: 'both', endpoint: old.url })
    assert.equal(await gateway.metric('upgate_endpoint_up', { upstream: 'both' }), 1)
    assert.equal(await status(gateway, '/alone'), 502)
    const line = await gateway.log('request', { route: 'alone' })
    assert.equal(line['code'], 'E_UPSTREAM_TLS')
    assert.match(String(line['cause']), /tls\.minVersion/)
    assert.deepEqual(old.reused, [])
  })

  it('is set aside for an issuer that is not trusted, and for another name', async () => {
    await using endpoint = await secureServer()
    const yaml = configOf({
      issuer: [endpoint.url, '{ ca: ./other-ca.pem }'],
      system: [endpoint.url, '{}'],
      name: [endpoint.url, '{ ca: ./ca.pem, serverName: chat.example.com }'],
    })
    await using gateway = await startTestGateway(yaml, files)
    for (const [upstream, cause] of [
      ['issuer', /UNABLE_TO_VERIFY/],
      ['system', /UNABLE_TO_VERIFY/],
      ['name', /ALTNAME/],
    ] as const) {
      assert.equal(await status(gateway, `/${upstream}`), 502)
      const line = await gateway.log('request', { upstream })
      assert.equal(line['code'], 'E_UPSTREAM_TLS')
      assert.match(String(line['cause']), cause)
      await gateway.log('endpoint down', { upstream })
      assert.deepEqual(await handshakes(gateway, upstream), [0, 0])
    }
  })
})

describe('tls.insecure', () => {
  const WARNING = 'nobody checks who answers for this upstream'

  it('takes self-signed certificates and wrong names, for its own upstream alone', async () => {
    await using unsigned = await secureServer(selfSigned)
    await using endpoint = await secureServer()
    const yaml = configOf({
      any: [unsigned.url, '{ insecure: true }'],
      wrong: [endpoint.url, '{ insecure: true, serverName: chat.example.com }'],
      same: [unsigned.url, '{ ca: ./ca.pem }'],
      name: [endpoint.url, '{ ca: ./ca.pem, serverName: chat.example.com }'],
    })
    await using gateway = await startTestGateway(yaml, files)
    for (let rounds = 0; rounds < 2; rounds += 1) {
      await visit(gateway, '/any')
      await visit(gateway, '/wrong')
      assert.equal(await plainStatus(gateway, '/any'), 200)
      for (const path of ['/same', '/name']) {
        assert.equal(await status(gateway, path), 502)
        assert.equal(await plainStatus(gateway, path), 502)
      }
    }
    // The second plain request has found the connection of the first.
    assert.deepEqual(unsigned.reused, [false, true, true])
    assert.deepEqual(endpoint.reused, [false, true])
  })

  it('is warned of at the start and at each reload, and ends with one', async () => {
    await using unsigned = await secureServer(selfSigned)
    const insecure = configOf({ any: [unsigned.url, '{ insecure: true }'] })
    await using gateway = await startTestGateway(insecure, files)
    const warnings = (): unknown[] => gateway.logs.filter(({ msg }) => msg === WARNING)
    assert.equal(warnings().length, 1)
    await visit(gateway, '/any')
    assert.equal(await plainStatus(gateway, '/any'), 200)
    await gateway.reload(insecure)
    assert.equal(warnings().length, 2)
    await gateway.log(WARNING, { level: 'warn', upstream: 'any' })
    assert.equal((await gateway.reload(configOf({ any: [unsigned.url, '{}'] }))).ok, true)
    assert.equal(warnings().length, 2)
    assert.equal(await status(gateway, '/any'), 502)
    assert.equal(await plainStatus(gateway, '/any'), 502)
  })
})

describe('the files of tls', () => {
  it('are read by a reload, which refuses what does not fit, and changes nothing then', async () => {
    await using endpoint = await secureServer({ requestCert: true, ca })
    const yaml = configOf({
      chat: [endpoint.url, '{ ca: ./ca.pem, cert: ./client.pem, key: ./client-key.pem }'],
    })
    await using gateway = await startTestGateway(yaml, files)
    await visit(gateway, '/chat')
    const { ok, problems } = await gateway.reload(yaml, { 'client-key.pem': selfSigned.key })
    assert.equal(ok, false)
    assert.match(problems.join('\n'), /upstreams\.chat\.tls\.key: this key does not belong to/)
    await visit(gateway, '/chat')
    assert.deepEqual(endpoint.reused, [false, true])
  })

  it('are followed by reload.watch, while tunnels stay', async () => {
    await using endpoint = await secureServer()
    const yaml = `reload: { watch: true }\n${configOf({ chat: [endpoint.url, '{ ca: ./ca.pem }'] })}`
    await using gateway = await startTestGateway(yaml, {
      ...files,
      'ca.pem': files['other-ca.pem'],
    })
    assert.equal(await status(gateway, '/chat'), 502)
    await gateway.rewrite(yaml, { 'ca.pem': ca })
    await gateway.log('config reloaded', { cause: 'file' })
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/chat`)
    await gateway.rewrite(yaml, { 'ca.pem': 'nonsense' })
    const line = await gateway.log('config not reloaded, the old one stays in use')
    assert.match(String(line['problems']), /tls\.ca: the file holds no certificate in PEM format/)
    client.socket.send('hello')
    assert.equal(String((await client.message()).data), 'hello')
    await visit(gateway, '/chat')
  })
})
