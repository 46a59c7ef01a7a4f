import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import { startTestGateway, type LogLine, type TestGateway } from '../support/gateway.ts'
import { RunningProgram } from '../support/programs.ts'
import { handshake, rawClient, SWITCHING, type RawClient } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { untilLeft } from '../support/until-left.ts'

/** What a limit may take longer than it says on a machine that is busy. */
const SLACK_MS = 3000
const LIMIT_MS = 200

/** The route under test, and one that shows whether the gateway still serves. */
function gatewayTo(upstream: string, extra = ''): Promise<TestGateway> {
  return startTestGateway(
    `listeners: [{ address: "127.0.0.1:0", headTimeout: ${LIMIT_MS}ms }]
routes:
  - { name: alive, match: { path: /alive }, upstream: "builtin:echo" }
  - { name: hanging, upgrade: [websocket, tcp], upstream: "${upstream}"${extra} }`,
  )
}

function limit(name: 'connect' | 'handshake' | 'response' | 'body' | 'idle'): string {
  return `, timeouts: { ${name}: ${LIMIT_MS}ms }`
}

async function assertServesOn(gateway: TestGateway): Promise<void> {
  await using client = await rawClient(gateway.port)
  client.write(handshake('/alive'))
  assert.equal((await client.head()).status, 101)
}

function assertWithinLimit(line: LogLine, limitMs = LIMIT_MS): void {
  const durationMs = line['durationMs'] as number
  assert.ok(
    durationMs >= limitMs * 0.9 && durationMs <= limitMs + SLACK_MS,
    `${durationMs} ms for a limit of ${limitMs} ms`,
  )
}

function fixture(name: string, ...args: string[]): RunningProgram {
  const file = fileURLToPath(new URL(`../fixtures/e2e/${name}`, import.meta.url))
  return new RunningProgram(process.execPath, [file, ...args])
}

async function portOf(program: RunningProgram): Promise<number> {
  return Number((await program.output(/port (\d+)\n/))[1])
}

const TCP_REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'
const TCP_SWITCHING = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

async function readHeadAndHang(connection: RawClient): Promise<void> {
  await connection.head()
  await untilLeft(connection)
}

interface Stall {
  readonly name: string
  readonly code: string
  readonly status: number
  /** What the upstream does with a connection: nothing where it is left out. */
  readonly upstream?: (connection: RawClient) => Promise<void> | void
  readonly scheme?: 'https'
  readonly route: string
  readonly request: string
}

const stalls: Stall[] = [
  {
    name: 'a client stalls in the middle of its head',
    code: 'E_HEAD_TIMEOUT',
    status: 408,
    route: '',
    request: 'GET /half HTTP/1.1\r\nHost: a\r\nConnec',
  },
  {
    name: 'a client stalls in the middle of a head that only the parser reads',
    code: 'E_HEAD_TIMEOUT',
    status: 408,
    route: '',
    request: 'POST /half HTTP/1.1\r\nHost: a\r\nConnec',
  },
  {
    name: 'a TLS upstream never finishes its handshake',
    code: 'E_CONNECT_TIMEOUT',
    status: 504,
    scheme: 'https',
    route: limit('connect'),
    request: handshake(),
  },
  {
    name: 'an upstream reads the handshake and says nothing',
    code: 'E_HANDSHAKE_TIMEOUT',
    status: 504,
    upstream: readHeadAndHang,
    route: limit('handshake'),
    request: handshake(),
  },
  {
    name: 'an upstream stops in the middle of its 101',
    code: 'E_HANDSHAKE_TIMEOUT',
    status: 504,
    upstream: async (connection) => {
      await connection.head()
      connection.write(SWITCHING.slice(0, 60))
      await untilLeft(connection)
    },
    route: limit('handshake'),
    request: handshake(),
  },
  {
    name: 'an upstream says nothing to a plain request',
    code: 'E_RESPONSE_TIMEOUT',
    status: 504,
    upstream: readHeadAndHang,
    route: limit('response'),
    request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  },
  {
    name: 'a client stalls in the middle of the body of its upgrade',
    code: 'E_HEAD_TIMEOUT',
    status: 408,
    upstream: readHeadAndHang,
    route: limit('body'),
    request:
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 10\r\n\r\nhalf',
  },
  {
    name: 'a client stalls in the middle of the body of a plain request',
    code: 'E_HEAD_TIMEOUT',
    status: 408,
    upstream: readHeadAndHang,
    route: limit('body'),
    request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf',
  },
]

describe('a peer that hangs before the tunnel', () => {
  for (const { name, code, status, upstream, scheme = 'http', route, request } of stalls) {
    it(`answers ${status} within the limit when ${name}, and serves on`, async () => {
      await using hanging = await scriptedUpstream(upstream ?? untilLeft)
      await using gateway = await gatewayTo(`${scheme}://127.0.0.1:${hanging.port}`, route)
      await using client = await rawClient(gateway.port)
      const startMs = performance.now()
      client.write(request)
      const answer = await client.answer()
      const passedMs = performance.now() - startMs
      assert.equal(answer.status, status)
      assert.equal((JSON.parse(answer.body) as { code: string }).code, code)
      assert.ok(passedMs >= LIMIT_MS * 0.9 && passedMs <= LIMIT_MS + SLACK_MS, `${passedMs} ms`)
      await gateway.log('request', { code, status })
      await hanging.quiet()
      await assertServesOn(gateway)
    })
  }

  it('does not set an endpoint aside because a client stalls in its body', async () => {
    await using hanging = await scriptedUpstream(async (connection, index) => {
      await connection.head()
      if (index > 0) connection.write(TCP_SWITCHING)
      await untilLeft(connection)
    })
    await using gateway = await gatewayTo(hanging.url, limit('body'))
    await using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 10\r\n\r\nhalf',
    )
    await client.answer()
    assert.equal(await gateway.metric('upgate_endpoint_up', { endpoint: hanging.url }), 1)
    await using next = await rawClient(gateway.port)
    next.write(TCP_REQUEST)
    assert.equal((await next.head()).status, 101)
  })

  it('answers 504 within the connect limit when the backlog of an endpoint is full', async () => {
    await using deaf = fixture('deaf-listener.ts')
    const port = await portOf(deaf)
    const fillers = [0, 1].map(() => net.connect(port, '127.0.0.1'))
    try {
      await Promise.all(fillers.map((filler) => once(filler, 'connect')))
      await using gateway = await gatewayTo(`http://127.0.0.1:${port}`, limit('connect'))
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      const answer = await client.answer()
      assert.equal(answer.status, 504)
      const line = await gateway.log('request', { code: 'E_CONNECT_TIMEOUT' })
      assertWithinLimit(line)
      await assertServesOn(gateway)
    } finally {
      for (const filler of fillers) filler.destroy()
    }
  })

  it('leaves the handshake when the client dies before the answer', async () => {
    await using hanging = await scriptedUpstream(readHeadAndHang)
    await using gateway = await gatewayTo(hanging.url)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    // The upstream has the request once its connection is there.
    while (hanging.connections === 0) await gateway.metrics()
    client.socket.resetAndDestroy()
    await hanging.quiet()
    await gateway.log('request', { code: 'E_CLIENT_GONE', status: 499 })
    await assertServesOn(gateway)
  })
})

async function openTunnel(gateway: TestGateway): Promise<RawClient> {
  const client = await rawClient(gateway.port)
  client.write(TCP_REQUEST)
  assert.equal((await client.head()).status, 101)
  return client
}

describe('a peer that hangs or dies in the tunnel', () => {
  it('closes a tunnel for idleness when nobody says a word after the 101', async () => {
    await using hanging = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(TCP_SWITCHING)
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await gatewayTo(hanging.url, limit('idle'))
    await using client = await openTunnel(gateway)
    assert.equal(await client.rest(), '')
    client.socket.end()
    const close = await gateway.log('tunnel close', { by: 'gateway', reason: 'idle' })
    assertWithinLimit(close)
    await assertServesOn(gateway)
  })

  it('gets rid of a client that has vanished: it reads nothing, and answers no FIN', async () => {
    await using hanging = await scriptedUpstream(async (connection) => {
      // More than all buffers on the way hold, so that even the FIN does not get through.
      connection.write(TCP_SWITCHING)
      connection.write(Buffer.alloc(64 * 1024 * 1024))
      await untilLeft(connection)
    })
    await using gateway = await gatewayTo(hanging.url, limit('idle'))
    await using client = await openTunnel(gateway)
    client.socket.pause()
    const close = await gateway.log('tunnel close', { by: 'gateway', reason: 'idle' })
    assert.ok((close['bytesDown'] as number) < 64 * 1024 * 1024)
    await hanging.quiet()
    await assertServesOn(gateway)
  })

  it('ends the tunnel of a client that is killed with everything read', async () => {
    await using hanging = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(TCP_SWITCHING)
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await gatewayTo(hanging.url)
    await using victim = fixture('tcp-client.ts', String(gateway.port))
    await victim.output(/open/)
    victim.child.kill('SIGKILL')
    await gateway.log('tunnel close', { by: 'client', reason: 'eof' })
    await hanging.quiet()
    await assertServesOn(gateway)
  })

  it('resets the upstream of a client that is killed with data unread', async () => {
    const failure = Promise.withResolvers<string | undefined>()
    await using hanging = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(TCP_SWITCHING)
      connection.write(Buffer.alloc(64 * 1024 * 1024))
      failure.resolve(await connection.failure())
    })
    await using gateway = await gatewayTo(hanging.url)
    await using victim = fixture('tcp-client.ts', String(gateway.port))
    await victim.output(/open/)
    // Bytes have begun to pile up on the way to it.
    while ((await gateway.metric('upgate_tunnel_bytes_total', { direction: 'down' })) < 65_536) {
      // Each scrape is a turn of the event loop.
    }
    victim.child.kill('SIGKILL')
    assert.equal(await failure.promise, 'ECONNRESET')
    await gateway.log('tunnel close', { by: 'client', reason: 'reset' })
    await assertServesOn(gateway)
  })

  it('ends the tunnels of an upstream that is killed, and answers 502 from then on', async () => {
    await using victim = fixture('tcp-echo.ts')
    const port = await portOf(victim)
    await using gateway = await gatewayTo(`http://127.0.0.1:${port}`)
    await using client = await openTunnel(gateway)
    client.write('there')
    assert.equal(await client.bytes(5), 'there')
    victim.child.kill('SIGKILL')
    assert.equal(await client.rest(), '')
    client.socket.end()
    await gateway.log('tunnel close', { by: 'upstream', reason: 'eof' })
    // Its port is closed for certain only when all of it is gone.
    await victim.exited
    await using next = await rawClient(gateway.port)
    next.write(handshake())
    const answer = await next.answer()
    assert.equal(answer.status, 502)
    await gateway.log('request', { code: 'E_UPSTREAM_REFUSED' })
    await assertServesOn(gateway)
  })

  it('resets the client of an upstream that is killed with data unread', async () => {
    await using victim = fixture('tcp-echo.ts')
    const port = await portOf(victim)
    await using gateway = await gatewayTo(`http://127.0.0.1:${port}`)
    await using client = await openTunnel(gateway)
    // The echo stops reading when nobody reads what it sends back.
    client.socket.pause()
    client.write(Buffer.alloc(64 * 1024 * 1024))
    victim.child.kill('SIGSTOP')
    await gateway.metrics()
    victim.child.kill('SIGKILL')
    await gateway.log('tunnel close', { by: 'upstream', reason: 'reset' })
    client.socket.resume()
    assert.equal(await client.failure(), 'ECONNRESET')
    await assertServesOn(gateway)
  })
})
