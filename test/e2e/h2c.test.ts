import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { apache, startApache } from '../support/apache.ts'
import { startTestGateway } from '../support/gateway.ts'
import { h2cSession, h2cUpstream, H2C_SWITCHING } from '../support/h2c.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { rawClient, WEBSOCKET_KEY, type RawAnswer } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const curl = findProgram('curl')

/** SETTINGS_MAX_CONCURRENT_STREAMS 100, as in base64url. */
const SETTINGS = 'AAMAAABk'

const UPGRADE = [
  'GET /public HTTP/1.1',
  'Host: gateway.test',
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  `HTTP2-Settings: ${SETTINGS}`,
  '\r\n',
].join('\r\n')

describe('h2c where a route names it', () => {
  it(
    'lets curl --http2 go on by HTTP/2 with an apache, for every byte of a file',
    { skip: curl.skip || apache.skip },
    async () => {
      const file = randomBytes(3 * 1024 * 1024)
      await using server = await startApache({ first: 'small', file })
      await using gateway = await startTestGateway(
        `routes: [{ upgrade: [h2c], upstream: "${server.url}" }]`,
      )
      const url = `http://127.0.0.1:${gateway.port}`
      // curl 7.88 gives up when much comes at once with the 101, so the file is the second that it asks for.
      const { code, stdout, stderr } = await runProgram(curl.path, [
        '--http2',
        '-sSv',
        '--write-out',
        '%{stderr}%{http_version} %{http_code} %{num_connects}\\n',
        `${url}/first`,
        `${url}/file`,
        '-o',
        '-',
        '-o',
        join(server.folder, 'saved'),
      ])
      assert.equal(code, 0, stderr)
      assert.equal(stdout, 'small')
      assert.match(stderr, /< HTTP\/1\.1 101 Switching Protocols/)
      assert.deepEqual(stderr.match(/^[\d.]+ \d+ \d+$/gm), ['2 200 1', '2 200 0'])
      assert.deepEqual(await readFile(join(server.folder, 'saved')), file)
      await gateway.log('tunnel open', { protocol: 'h2c' })
      const close = await gateway.log('tunnel close')
      assert.ok(Number(close['bytesDown']) > file.length)
    },
  )

  it('carries many HTTP/2 requests at once, with bodies both ways', async () => {
    await using upstream = await h2cUpstream()
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [h2c], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(UPGRADE)
    assert.equal((await client.head()).fields.get('upgrade'), 'h2c')
    await using session = h2cSession(client)
    const bodies = Array.from({ length: 20 }, (_, index) => randomBytes(index * 10_000))
    const answers = await Promise.all(bodies.map((body, index) => session.ask(`/${index}`, body)))
    for (const [index, { status, body }] of answers.entries()) {
      assert.equal(status, 200)
      assert.deepEqual(body, bodies[index])
    }
    assert.equal(upstream.inner.length, 20)
  })

  it('opens for the POST of BuildKit, which has no HTTP2-Settings', async () => {
    await using upstream = await h2cUpstream()
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp, h2c], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write('POST /grpc HTTP/1.1\r\nHost:\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    assert.equal((await client.head()).status, 101)
    await using session = h2cSession(client)
    assert.equal((await session.ask('/moby.buildkit.v1.Control/Solve')).status, 200)
    const [head = []] = upstream.heads
    assert.ok(head.includes('Connection: Upgrade'), head.join('\n'))
  })

  for (const [name, lines] of [
    ['as curl sends it', ['Connection: Upgrade, HTTP2-Settings', `HTTP2-Settings: ${SETTINGS}`]],
    ['in lower case', ['connection: upgrade,http2-settings', `http2-settings: ${SETTINGS}`]],
    ['when Connection does not name it', ['Connection: Upgrade', `HTTP2-Settings: ${SETTINGS}`]],
  ] as const) {
    it(`sends HTTP2-Settings on ${name}, and names it in Connection as RFC 7540 3.2.1 asks`, async () => {
      const seen = Promise.withResolvers<RawAnswer>()
      await using upstream = await scriptedUpstream(async (connection) => {
        seen.resolve(await connection.head())
        connection.write(H2C_SWITCHING)
      })
      await using gateway = await startTestGateway(
        `routes: [{ upgrade: [h2c], upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(['GET / HTTP/1.1', 'Host: a', 'Upgrade: h2c', ...lines, '\r\n'].join('\r\n'))
      assert.equal((await client.head()).status, 101)
      const { fields } = await seen.promise
      assert.equal(fields.get('http2-settings'), SETTINGS)
      assert.equal(fields.get('connection')?.toLowerCase(), 'upgrade, http2-settings')
      assert.equal(fields.get('upgrade'), 'h2c')
    })
  }

  it('passes on the HTTP/1.1 answer of an upstream that stays with it, without its offer to upgrade', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(
        'HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nplain',
      )
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [h2c], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    for (let round = 0; round < 2; round += 1) {
      client.write(UPGRADE)
      const answer = await client.answer()
      assert.equal(answer.body, 'plain')
      assert.ok(!answer.fields.has('upgrade'))
    }
  })

  it('does not look into it: paths that no route covers are reached inside', async () => {
    await using upstream = await h2cUpstream()
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /public }, upgrade: [h2c], upstream: "${upstream.url}" }]`,
    )
    await using outside = await rawClient(gateway.port)
    outside.write('GET /admin HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await outside.answer()).status, 404)
    await using client = await rawClient(gateway.port)
    client.write(UPGRADE)
    assert.equal((await client.head()).status, 101)
    await using session = h2cSession(client)
    assert.equal((await session.ask('/admin')).status, 200)
    assert.deepEqual(upstream.inner, ['POST /admin'])
  })
})

/** A client's preface with empty SETTINGS, and `POST /admin` as the first request: what an attacker sends without waiting. */
const INNER = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(4, 0, 0, Buffer.alloc(0)),
  // RFC 7541: :method POST and :scheme http from the table, :path as a literal.
  frame(1, 0x05, 1, Buffer.concat([Buffer.from([0x83, 0x86, 0x04, 6]), Buffer.from('/admin')])),
])

const NOTHING = Buffer.alloc(0)

/** RFC 9113 4.1 */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Each is the start of a path, and would be the whole of a smuggler's way if it let h2c through. */
const ROUTES = {
  default: '',
  any: 'upgrade: any, ',
  none: 'upgrade: [], ',
  websocket: 'upgrade: [websocket], ',
  list: 'upgrade: [tcp, SPDY/3.1, websocket], ',
  'upgrades-alone': 'upgrade: [tcp, websocket], http: false, ',
} as const

const KEY = `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`
const VERSION = 'Sec-WebSocket-Version: 13'

/** Requests that ask for HTTP/2 in all the ways that came to mind; Host and HTTP2-Settings are added. */
const ATTACKS: readonly (readonly [string, readonly string[]])[] = [
  ['the plain spelling', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c']],
  ['capitals', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: H2C']],
  ['mixed case', ['connection: uPGRADE, hTTP2-sETTINGS', 'uPGRADE: h2C']],
  ['tabs and commas around it', ['Connection: Upgrade', 'Upgrade: ,\t h2c\t ,']],
  [
    'Connection in several fields',
    ['Connection: HTTP2-Settings', 'Connection: Upgrade', 'Upgrade: h2c'],
  ],
  ['the token twice', ['Connection: Upgrade', 'Upgrade: h2c, h2c']],
  ['several Upgrade fields', ['Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: H2C']],
  ['websocket before it', ['Connection: Upgrade', 'Upgrade: websocket, h2c', KEY, VERSION]],
  ['websocket behind it', ['Connection: Upgrade', 'Upgrade: h2c, websocket', KEY, VERSION]],
  [
    'websocket in another field',
    ['Connection: Upgrade', 'Upgrade: websocket', 'Upgrade: h2c', KEY, VERSION],
  ],
  ['websocket without a key', ['Connection: Upgrade', 'Upgrade: websocket, h2c']],
  ['tcp beside it', ['Connection: Upgrade', 'Upgrade: tcp,h2c']],
  ['many tokens before it', ['Connection: Upgrade', `Upgrade: ${'x, '.repeat(40)}h2c`]],
  ['no option Upgrade', ['Connection: HTTP2-Settings', 'Upgrade: h2c']],
  ['no Connection', ['Upgrade: h2c']],
  [
    'Connection that names more',
    ['Connection: Upgrade, Host, X-Forwarded-For, close', 'Upgrade: h2c'],
  ],
  ['Proxy-Connection', ['Proxy-Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c']],
  ['a version', ['Connection: Upgrade', 'Upgrade: h2c/2']],
  ['HTTP/2 over TLS', ['Connection: Upgrade', 'Upgrade: h2']],
  ['its long name', ['Connection: Upgrade', 'Upgrade: HTTP/2.0']],
  ['drafts', ['Connection: Upgrade', 'Upgrade: h2c-14, h2c-16']],
  ['quotes', ['Connection: Upgrade', 'Upgrade: "h2c"']],
  ['a blank before the colon', ['Connection: Upgrade', 'Upgrade : h2c']],
  ['a folded line', ['Connection: Upgrade', 'Upgrade: websocket,', '\th2c']],
  ['a control character', ['Connection: Upgrade', 'Upgrade: h2c\v']],
  ['an underscore', ['Connection: Upgrade', 'Upgrade: h2c', `HTTP2_Settings: ${SETTINGS}`]],
  ['a body', ['Connection: Upgrade', 'Upgrade: h2c', 'Content-Length: 0']],
  ['Expect', ['Connection: Upgrade', 'Upgrade: h2c', 'Expect: 100-continue', 'Content-Length: 0']],
]

describe('h2c where no route names it', () => {
  for (const [name, lines] of ATTACKS) {
    it(`does not reach an upstream by ${name}, nor do the requests inside`, async () => {
      await using upstream = await h2cUpstream()
      const routes = Object.entries(ROUTES).map(
        ([path, keys]) => `  - { match: { path: /${path} }, ${keys}upstream: "${upstream.url}" }`,
      )
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0", h2c: true }]
trustedProxies: [127.0.0.1]\nroutes:\n${routes.join('\n')}`,
      )
      const ports = gateway.gateway.addresses.map((address) => (address as { port: number }).port)
      for (const path of Object.keys(ROUTES)) {
        const ways = ports.flatMap((port) => [true, false].map((isEarly) => ({ port, isEarly })))
        for (const { port, isEarly } of ways) {
          await using client = await rawClient(port)
          const request = [
            `GET /${path} HTTP/1.1`,
            'Host: a',
            ...lines,
            `HTTP2-Settings: ${SETTINGS}`,
          ]
          client.write(
            Buffer.concat([
              Buffer.from(`${request.join('\r\n')}\r\n\r\n`, 'latin1'),
              isEarly ? INNER : NOTHING,
            ]),
          )
          assert.notEqual((await client.head()).status, 101)
          client.socket.end(isEarly ? NOTHING : INNER)
          assert.doesNotMatch(await client.rest(), /HTTP\/1\.1 101|POST \/admin/)
        }
      }
      assert.deepEqual(upstream.inner, [])
      for (const head of upstream.heads) assert.doesNotMatch(head.join('\n'), /h2|http\/?2|PRI/i)
    })
  }

  it('gets a 502 from an upstream that switches to it all the same', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(H2C_SWITCHING)
      assert.equal(await connection.rest(), '')
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [websocket, tcp], upstream: "${upstream.url}" }]`,
    )
    for (const token of ['h2c', 'tcp', 'tcp, h2c']) {
      await using client = await rawClient(gateway.port)
      client.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`)
      client.write(INNER)
      assert.equal((await client.answer()).status, 502)
    }
    await upstream.quiet()
  })
})

describe('HTTP/2 with prior knowledge', () => {
  it('is refused with a 400 that says what is spoken here, and reaches no upstream', async () => {
    await using upstream = await scriptedUpstream(() => assert.fail('an upstream was reached'))
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [h2c], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(INNER)
    const answer = await client.answer()
    assert.equal(answer.status, 400)
    assert.equal(JSON.parse(answer.body).detail, 'The request is not valid HTTP/1.1.')
    assert.equal(await client.rest(), '')
    const { cause } = await gateway.log('request', { code: 'E_REQUEST_MALFORMED' })
    assert.equal(cause, 'HTTP/2 with prior knowledge')
  })
})
