import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { visibleJson } from '../../src/base/visible.ts'
import { catalogue, type Code } from '../../src/errors.ts'
import { freePort } from '../support/free-port.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

/** One way to be refused: what the gateway is told, what the client sends, and the code that must come of it. */
interface Case {
  readonly name: string
  readonly code: Code
  readonly yaml?: (upstream: ScriptedUpstream) => string
  readonly files?: Readonly<Record<string, string>>
  readonly request: string
  readonly upstream?: (
    connection: Parameters<Parameters<typeof scriptedUpstream>[0]>[0],
  ) => Promise<void> | void
  readonly expect?: (
    answer: Awaited<ReturnType<Awaited<ReturnType<typeof rawClient>>['answer']>>,
  ) => void
  /** Whether the upstream may have seen a connection. */
  readonly reachesUpstream?: boolean
}

const route = (upstream: ScriptedUpstream, extra = ''): string =>
  `routes: [{ name: a, upstream: "${upstream.url}"${extra} }]`

const get = (target: string, lines: readonly string[] = []): string =>
  [`GET ${target} HTTP/1.1`, 'Host: a', ...lines, '\r\n'].join('\r\n')

/** A port on which nobody listens. */
const unused = await freePort()

const cases: Case[] = [
  { name: 'bytes that are no HTTP', code: 'E_REQUEST_MALFORMED', request: 'hello\r\n\r\n' },
  {
    name: 'a space before a colon',
    code: 'E_REQUEST_MALFORMED',
    request: 'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
  },
  {
    name: 'a folded field',
    code: 'E_REQUEST_MALFORMED',
    request: 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n',
  },
  { name: 'no Host', code: 'E_HOST_INVALID', request: 'GET / HTTP/1.1\r\n\r\n' },
  { name: 'two Host fields', code: 'E_HOST_INVALID', request: get('/', ['Host: b']) },
  {
    name: 'a Host that is none',
    code: 'E_HOST_INVALID',
    request: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
  },
  { name: 'a target with a broken escape', code: 'E_TARGET_INVALID', request: get('/%zz') },
  { name: 'a target of another scheme', code: 'E_TARGET_INVALID', request: get('ftp://a/') },
  {
    name: 'a path that an upstream may read as that of another route',
    code: 'E_TARGET_AMBIGUOUS',
    yaml: (upstream) =>
      `routes: [{ match: { path: /admin }, upstream: "${upstream.url}" }, { upstream: "${upstream.url}" }]`,
    request: get('/public/..%2fadmin'),
  },
  {
    name: 'a WebSocket handshake without a key',
    code: 'E_WEBSOCKET_REQUEST',
    request: get('/', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']),
  },
  {
    name: 'a Forwarded of a trusted proxy that cannot be read',
    code: 'E_FORWARDED_INVALID',
    yaml: (upstream) =>
      `trustedProxies: [127.0.0.1]\nforwarded: { read: forwarded }\n${route(upstream)}`,
    request: get('/', ['Forwarded: for="192.0.2.1']),
  },
  {
    name: 'a body whose chunks are broken',
    code: 'E_BODY_MALFORMED',
    yaml: (upstream) => route(upstream, ', upgrade: [tcp]'),
    request:
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n',
    upstream: () => {},
    reachesUpstream: true,
  },
  {
    name: 'a length and chunks at once',
    code: 'E_BODY_MALFORMED',
    request:
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  },
  {
    name: 'two lengths',
    code: 'E_BODY_MALFORMED',
    request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
  },
  {
    name: 'no credentials',
    code: 'E_AUTH_MISSING',
    yaml: (upstream) =>
      `auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys } }\n${route(upstream, ', auth: [robots]')}`,
    files: { keys: `ci:${'0'.repeat(64)}\n` },
    request: handshake(),
    expect: (answer) => assert.ok(answer.fields.has('www-authenticate')),
  },
  {
    name: 'wrong credentials',
    code: 'E_AUTH_INVALID',
    yaml: (upstream) =>
      `auth: { robots: { type: apiKey, header: X-Api-Key, keys: ./keys } }\n${route(upstream, ', auth: [robots]')}`,
    files: { keys: `ci:${'0'.repeat(64)}\n` },
    request: handshake('/', ['X-Api-Key: guess']),
  },
  {
    name: 'another Origin',
    code: 'E_ORIGIN_DENIED',
    yaml: (upstream) => route(upstream, ', origins: ["https://app.test"]'),
    request: handshake('/', ['Origin: https://evil.test']),
  },
  {
    name: 'an address that is not on the list',
    code: 'E_ADDRESS_DENIED',
    yaml: (upstream) => route(upstream, ', allow: ["10.0.0.0/8"]'),
    request: get('/'),
  },
  {
    name: 'a path that no route takes',
    code: 'E_ROUTE_NONE',
    yaml: (upstream) => route(upstream, ', match: { path: /chat }'),
    request: get('/chats'),
  },
  { name: 'TRACE', code: 'E_METHOD_DENIED', request: 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n' },
  {
    name: 'CONNECT',
    code: 'E_METHOD_DENIED',
    request: 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
  },
  {
    name: 'a head that does not end',
    code: 'E_HEAD_TIMEOUT',
    yaml: (upstream) =>
      `listeners: [{ address: "127.0.0.1:0", headTimeout: 100ms }]\n${route(upstream)}`,
    request: 'GET / HTTP/1.1\r\nHost: a\r\n',
  },
  {
    name: 'a request to a listener that redirects',
    code: 'E_HTTPS_REQUIRED',
    yaml: (upstream) =>
      `listeners: [{ address: "127.0.0.1:0", redirect: https }]\n${route(upstream)}`,
    request: get('/'),
    expect: (answer) => assert.match(answer.fields.get('location') ?? '', /^https:/),
  },
  {
    name: 'a plain request where only upgrades are served',
    code: 'E_UPGRADE_REQUIRED',
    yaml: (upstream) => route(upstream, ', http: false'),
    request: get('/'),
    expect: (answer) => {
      assert.equal(answer.fields.get('upgrade'), 'websocket')
      assert.match(answer.fields.get('connection') ?? '', /upgrade/i)
    },
  },
  {
    name: 'a head above the limit',
    code: 'E_HEAD_TOO_LARGE',
    request: get('/', [`X: ${'x'.repeat(20_000)}`]),
  },
  {
    name: 'an endpoint that refuses the connection',
    code: 'E_UPSTREAM_REFUSED',
    yaml: () => `routes: [{ upstream: "http://127.0.0.1:${unused}" }]`,
    request: handshake(),
  },
  {
    name: 'an endpoint whose name does not exist',
    code: 'E_UPSTREAM_UNREACHABLE',
    yaml: () => 'routes: [{ upstream: "http://no-such-host.invalid:80" }]',
    request: handshake(),
  },
  {
    name: 'an endpoint that speaks no TLS',
    code: 'E_UPSTREAM_TLS',
    yaml: (upstream) => `routes: [{ upstream: "https://127.0.0.1:${upstream.port}" }]`,
    upstream: (connection) =>
      void connection.socket.end('not TLS at all, but long enough to be a record\n'),
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that resets before it answers',
    code: 'E_UPSTREAM_RESET',
    upstream: async (connection) => {
      await connection.head()
      connection.socket.resetAndDestroy()
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that ends before it answers',
    code: 'E_UPSTREAM_RESET',
    upstream: async (connection) => {
      await connection.head()
      connection.socket.end()
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that speaks something else',
    code: 'E_UPSTREAM_PROTOCOL',
    upstream: (connection) => connection.write('SSH-2.0-OpenSSH_9.2\r\n'),
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an answer with two lengths',
    code: 'E_UPSTREAM_PROTOCOL',
    upstream: async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab')
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an answer head without an end',
    code: 'E_UPSTREAM_PROTOCOL',
    upstream: async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`)
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'endless informational answers',
    code: 'E_UPSTREAM_PROTOCOL',
    upstream: async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(40))
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'a 101 to something else',
    code: 'E_UPSTREAM_SWITCH',
    upstream: async (connection) => {
      await connection.head()
      connection.write(SWITCHING.replace('websocket', 'h2c'))
    },
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that does not answer',
    code: 'E_HANDSHAKE_TIMEOUT',
    yaml: (upstream) => route(upstream, ', timeouts: { handshake: 100ms }'),
    upstream: () => {},
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that does not answer a plain request',
    code: 'E_RESPONSE_TIMEOUT',
    yaml: (upstream) => route(upstream, ', timeouts: { response: 100ms }'),
    upstream: () => {},
    request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    reachesUpstream: true,
  },
  {
    name: 'an endpoint that never finishes its TLS handshake',
    code: 'E_CONNECT_TIMEOUT',
    yaml: (upstream) =>
      `routes: [{ upstream: "https://127.0.0.1:${upstream.port}", timeouts: { connect: 100ms } }]`,
    upstream: () => {},
    request: handshake(),
    reachesUpstream: true,
  },
  {
    name: 'an auth server that is down',
    code: 'E_AUTH_UNAVAILABLE',
    yaml: (upstream) =>
      `auth: { portal: { type: forward, url: "http://127.0.0.1:${unused}/" } }\n${route(upstream, ', auth: [portal]')}`,
    request: handshake(),
  },
]

/** Codes that tests of their own produce: auth, limits, drain, balance, loops, handshake and exhausted in this folder. */
const ELSEWHERE: readonly Code[] = [
  'E_CLAIM_DENIED',
  'E_FORWARD_DENIED',
  'E_RATE_LIMIT',
  'E_CLIENT_FULL',
  'E_ROUTE_FULL',
  'E_GATEWAY_EXHAUSTED',
  'E_CLIENT_GONE',
  'E_INTERNAL',
  'E_AUTH_BUSY',
  'E_AUTH_TIMEOUT',
  'E_DRAINING',
  'E_ENDPOINT_NONE',
  'E_LOOP',
  'E_PROTOCOL_UNSERVED',
  // Nobody is answered.
  'E_HTTP2_FLOOD',
  'E_PROXY_HEADER',
]

describe('refusals', () => {
  for (const item of cases) {
    it(`answers ${catalogue[item.code].status} ${item.code} to ${item.name}`, async () => {
      await using upstream = await scriptedUpstream(item.upstream ?? unreachable)
      await using gateway = await startTestGateway((item.yaml ?? route)(upstream), item.files)
      await using client = await rawClient(gateway.port)
      client.write(item.request)
      // The second status line of informational answers is the one that counts.
      let answer = await client.head()
      while (answer.status < 200) answer = await client.head()
      const body = await client.bytes(Number(answer.fields.get('content-length')))
      assert.equal(answer.status, catalogue[item.code].status)
      assertProblem(answer.fields, body, item.code)
      item.expect?.({ ...answer, body })
      if (item.reachesUpstream !== true) assert.equal(upstream.connections, 0)
      await assertReported(gateway, item.code)
    })
  }

  it('takes 2 KiB of the log for what a client says, however it is escaped there', async () => {
    await using upstream = await scriptedUpstream(unreachable)
    await using gateway = await startTestGateway(route(upstream))
    for (const value of ['"', '\\', '\x9b', '\xff']) {
      await using client = await rawClient(gateway.port)
      client.write(`GET / HTTP/1.1\r\nHost: ${value.repeat(14_000)}\r\n\r\n`)
      assert.equal((await client.head()).status, 400)
    }
    const causes = gateway.logs.flatMap((line) => (line.msg === 'request' ? [line['cause']] : []))
    assert.equal(causes.length, 4)
    for (const cause of causes) {
      assert.ok(Buffer.byteLength(visibleJson(JSON.stringify(cause))) <= 2048 + '""'.length)
      assert.match(String(cause), /^the host .*\.\.\.$/)
    }
  })

  it('has a test for each code of the catalogue', () => {
    const tested = new Set<Code>([...cases.map(({ code }) => code), ...ELSEWHERE])
    assert.deepEqual(Object.keys(catalogue).toSorted(), [...tested].toSorted())
  })
})

function unreachable(): never {
  throw new Error('a refused request reached the upstream')
}

function assertProblem(fields: ReadonlyMap<string, string>, body: string, code: Code): void {
  assert.equal(fields.get('content-type'), 'application/problem+json')
  const problem = JSON.parse(body) as Record<string, unknown>
  assert.equal(problem['code'], code)
  assert.equal(problem['status'], catalogue[code].status)
  assert.equal(problem['detail'], catalogue[code].text)
  assert.equal(typeof problem['requestId'], 'string')
  assert.equal(fields.get('x-request-id'), problem['requestId'])
}

async function assertReported(gateway: TestGateway, code: Code): Promise<void> {
  const line = await gateway.log('request', { code })
  assert.equal(line['status'], catalogue[code].status)
  assert.equal(typeof line['requestId'], 'string')
  const status = String(catalogue[code].status)
  assert.equal(await gateway.metric('upgate_requests_total', { status }), 1)
}
