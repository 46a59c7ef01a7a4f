import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, mock } from 'node:test'
import { fileURLToPath } from 'node:url'
import { websocketAccept } from '../../src/handshake/switch.ts'
import { createLogger } from '../../src/report/logger.ts'
import { createMetrics } from '../../src/report/metrics.ts'
import { Report } from '../../src/report/report.ts'
import { loadText } from '../config/load-text.ts'
import { freePort } from '../support/free-port.ts'
import { LOOPBACK, startTestGateway, type LogLine, type TestGateway } from '../support/gateway.ts'
import { http2Client } from '../support/http2-client.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { logFields, logMessages } from '../support/log-words.ts'
import { handshake, rawClient, SWITCHING, WEBSOCKET_ACCEPT } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { withTestRelay } from '../support/test-relay.ts'

const COMMON = ['level', 'time', 'msg']

/** They need a reader of standard output that stalls, which test/report/logger.test.ts has, and a fault of the program. */
const NOT_MADE_HERE = ['log lines dropped', 'admin call failed']

/** Each from the side that must not send it: only clients mask. */
const BARE_TEXT = Buffer.from([0x81, 2, 0x68, 0x69])
const MASKED_TEXT = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])

const keyLine = (name: string, key: string): string =>
  `${name}:${createHash('sha256').update(key).digest('hex')}\n`

interface WebServer extends AsyncDisposable {
  readonly port: number
}

async function webServer(port: number, answer: () => [number, string]): Promise<WebServer> {
  const server = http.createServer((_request, response) => {
    const [status, body] = answer()
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(body)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Sends one request and waits for its answer. */
async function ask(gateway: TestGateway, request: string): Promise<number> {
  await using client = await rawClient(gateway.port)
  client.write(request)
  return (await client.answer()).status
}

const get = (path: string, lines: readonly string[] = []): string =>
  [`GET ${path} HTTP/1.1`, 'Host: a', ...lines, '\r\n'].join('\r\n')

function listenersAt(...addresses: readonly string[]): string {
  const listeners = addresses.map((address) => `{ address: "${address}", h2c: true }`)
  return `listeners: [${listeners.join(', ')}]\n`
}

/** A gateway's life in which every message is logged, each with every field that it can have. */
async function everyLine(): Promise<readonly LogLine[]> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-log-'))
  const keys = join(folder, 'keys')
  await writeFile(keys, keyLine('ci', 'secret'))
  let jwks: [number, string] = [500, '']
  await using provider = await webServer(0, () => jwks)
  await using upstream = await scriptedUpstream(async (connection) => {
    const { statusLine, fields } = await connection.head()
    if (statusLine.includes(' /tunnel ')) {
      const accept = websocketAccept(fields.get('sec-websocket-key') ?? '')
      connection.write(SWITCHING.replace(WEBSOCKET_ACCEPT, accept))
      if (await connection.more()) connection.write(MASKED_TEXT)
    } else if (fields.has('upgrade'))
      connection.write('HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno')
    else connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  await using http2 = await http2Endpoint()
  const comingPort = await freePort()
  const extra = `unix:${join(folder, 'extra')}`
  const yaml = `
shutdown: { drain: 0s }
defaults: { close: { timeout: 100ms } }
auth:
  robots: { type: apiKey, keys: "${keys}" }
  people: { type: jwt, jwks: "http://127.0.0.1:${provider.port}/" }
routes:
  - { match: { path: /people }, auth: [people], upstream: "${upstream.url}" }
  - { match: { path: /coming }, upstream: "http://127.0.0.1:${comingPort}" }
  - { match: { path: /two }, auth: [robots], upstream: [{ url: "${http2.url}", http2: true }] }
  - { name: robots, auth: [robots], upstream: "${upstream.url}" }
`
  await using gateway = await startTestGateway(yaml + listenersAt('127.0.0.1:0', extra))
  const key = ['X-Api-Key: secret']
  {
    await using client = await rawClient(gateway.port)
    client.write(handshake('/tunnel', key))
    assert.equal((await client.head()).status, 101)
    client.write(BARE_TEXT)
    assert.equal(await client.bytes(MASKED_TEXT.length), MASKED_TEXT.toString('latin1'))
    client.socket.resetAndDestroy()
    await gateway.log('tunnel close', { reason: 'reset' })
  }
  {
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    assert.equal((await client.ask('/')).status, 401)
    const stream = client.connect('/tunnel', { 'x-api-key': 'secret' })
    await once(stream, 'response')
    stream.destroy()
    await gateway.log('tunnel close', { httpVersion: '2.0' })
    await once(client.connect('/two', { 'x-api-key': 'secret' }), 'response')
    assert.equal((await client.ask('/two', { headers: { 'x-api-key': 'secret' } })).status, 200)
  }
  assert.equal(await ask(gateway, handshake('/other', key)), 404)
  assert.equal(await ask(gateway, get('/', key)), 200)
  assert.equal(await ask(gateway, get('/', ['X-Api-Key: guess'])), 401)
  assert.equal(
    await ask(gateway, handshake('/', ['X-Api-Key: guess']).replace('Upgrade: websocket\r\n', '')),
    401,
  )
  assert.equal(await ask(gateway, get('/coming')), 502)
  await gateway.log('endpoint down')
  {
    await using coming = await webServer(comingPort, () => [204, ''])
    assert.equal(await ask(gateway, get('/coming')), coming.port === comingPort ? 204 : 0)
    await gateway.log('endpoint up')
  }
  await everyFileLine(gateway, keys)
  await everyReloadLine(gateway, yaml, provider.port)
  // {"alg":"RS256","kid":"a"}.{}.x: enough for the keys to be fetched.
  const token = ['Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.eA']
  assert.equal(await ask(gateway, get('/people', token)), 502)
  jwks = [200, '{"keys":[null]}']
  // For a second after a failure the provider is left in peace.
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 1001 })
  assert.equal(await ask(gateway, get('/people', token)), 401)
  mock.timers.reset()
  await gateway.log('key set available again')
  await gateway.log('key set has keys that cannot be used')
  await using client = await rawClient(gateway.port)
  client.write(handshake('/tunnel', key))
  await client.head()
  await gateway.gateway.stop()
  await rm(folder, { recursive: true })
  return gateway.logs
}

/** One that removes a listener, and one whose address is taken. */
async function everyReloadLine(
  gateway: TestGateway,
  yaml: string,
  takenPort: number,
): Promise<void> {
  const fewer = loadText(withTestRelay(yaml, LOOPBACK))
  assert.equal((await gateway.gateway.reload(fewer, { cause: 'signal' })).ok, true)
  await gateway.log('listening no more')
  const listeners = listenersAt('127.0.0.1:0', `127.0.0.1:${takenPort}`)
  const taken = loadText(withTestRelay(yaml + listeners, LOOPBACK))
  assert.equal((await gateway.gateway.reload(taken, { cause: 'signal' })).ok, false)
}

/** What operators and auth servers make of it: told to the report, as the parts of a gateway tell it. */
function toldLines(): readonly LogLine[] {
  const lines: string[] = []
  const report = new Report(
    createLogger({ level: 'info', format: 'json' }, { write: (line) => lines.push(line) }),
    createMetrics({
      routes: [],
      relay: { name: '', why: '' },
      openTunnels: () => [],
      endpoints: () => [],
      listeners: () => [],
    }),
  )
  const [upstream, endpoint] = ['chat', 'http://chat-1:3000']
  report.endpointDrained(upstream, { url: endpoint }, true)
  report.endpointDrained(upstream, { url: endpoint }, false)
  report.drainProgress({ reason: 'drain', upstream, endpoint, left: 1, of: 2 })
  report.adminAction({
    action: 'close',
    by: '127.0.0.1',
    route: 'chat',
    upstream,
    endpoint,
    tunnelId: '1',
    user: 'alice',
    clientIp: '203.0.113.7',
    tunnels: 1,
  })
  report.rebalanceStuck(upstream)
  const pair = { url: 'https://localhost:8443/', file: '/cert.pem' }
  const certificate = { ...pair, certificate: 'a.test', expires: '2027-01-01T00:00:00.000Z' }
  report.certificateReloaded(certificate)
  report.certificateNotReloaded({ ...pair, cause: 'no certificate' })
  report.certificateExpires(certificate, false)
  report.certificateExpires(certificate, true)
  report.upstreamInsecure(upstream)
  report.tooFewDescriptors(1024, 20_256)
  report.exhausted('connect EMFILE')
  report.clientsRefused({ url: pair.url, key: 'connections', full: 1, share: 2, clientIp: '::1' })
  report.socketsUntaken([{ fd: 4, name: 'admin' }])
  report.keysNeedRestart(['relay'])
  report.recheckFailed({ route: 'chat', check: 'portal', tunnelId: '1', cause: 'ECONNREFUSED' })
  return lines.map((line) => JSON.parse(line) as LogLine)
}

async function everyFileLine(gateway: TestGateway, keys: string): Promise<void> {
  const good = readFileSync(keys, 'utf8')
  await writeFile(keys, good + keyLine('other', 'other secret'))
  await gateway.log('file reloaded')
  await writeFile(keys, 'no line of keys\n')
  await gateway.log('file not reloaded, the old content stays in use')
}

/** What stands between the parentheses of each call of a logger. */
function logCalls(text: string): string[] {
  const starts = text.matchAll(/\blog(?:\.(?:trace|debug|info|warn|error)|\[[^\n]*\])\(/g)
  return [...starts].map(({ 0: call, index }) => {
    const start = index + call.length
    let depth = 1
    let end = start
    for (; depth > 0; end += 1) {
      if (text[end] === '(') depth += 1
      if (text[end] === ')') depth -= 1
    }
    return text.slice(start, end - 1)
  })
}

describe('the words of the log', () => {
  const documented = new Map(logMessages.map(({ message, fields }) => [message, fields]))

  it('are those of real lines, field by field', async () => {
    const seen = new Map<string, Set<string>>()
    for (const line of [...(await everyLine()), ...toldLines()]) {
      const fields = seen.get(line.msg) ?? new Set()
      seen.set(line.msg, fields)
      for (const name of Object.keys(line)) {
        if (!COMMON.includes(name)) fields.add(name)
        else assert.equal(typeof line[name], 'string')
      }
    }
    const made = [...documented].filter(([message]) => !NOT_MADE_HERE.includes(message))
    assert.deepEqual(
      Object.fromEntries([...seen].map(([message, fields]) => [message, [...fields].toSorted()])),
      Object.fromEntries(made.map(([message, fields]) => [message, fields.toSorted()])),
    )
  })

  it('cover every message of the source', () => {
    const src = fileURLToPath(new URL('../../src/', import.meta.url))
    const messages = new Set<string>()
    for (const file of globSync('**/*.ts', { cwd: src })) {
      for (const call of logCalls(readFileSync(join(src, file), 'utf8'))) {
        const [, message] = /'([^'\n]+)',?\s*$/.exec(call) ?? []
        assert.ok(message !== undefined, `${file}: no message in ${call}`)
        messages.add(message)
      }
    }
    assert.deepEqual([...messages].toSorted(), [...documented.keys()].toSorted())
  })

  it('explain every field once, and no other', () => {
    const used = new Set([...COMMON, ...[...documented.values()].flat()])
    assert.deepEqual([...logFields.keys()].toSorted(), [...used].toSorted())
  })
})
