import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { RouteConfig } from '../../src/config/config.ts'
import { catalogue, Refusal, type Code } from '../../src/errors.ts'
import { createLogger } from '../../src/report/logger.ts'
import { createMetrics } from '../../src/report/metrics.ts'
import { Report } from '../../src/report/report.ts'
import type { RequestFacts } from '../../src/request/facts.ts'
import { frameCounts, tunnelEnd } from '../support/readings.ts'

const route = {
  name: 'chat',
  upstream: 'chat-pool',
  upgrade: ['websocket'],
} as unknown as RouteConfig

const facts: RequestFacts = {
  requestId: 'request-1',
  traceparent: '00-secret-trace',
  method: 'GET',
  target: '/ws/room?access_token=secret',
  path: '/ws/room',
  otherPaths: [],
  query: 'access_token=secret',
  authority: 'chat.example.com:8080',
  host: 'chat.example.com',
  httpVersion: '1.1',
  fields: ['Authorization', 'Bearer secret', 'Cookie', 'session=secret'],
  clientIp: '203.0.113.7',
  peerTrusted: false,
  proto: 'https',
  forwarded: {
    for: '203.0.113.7',
    proto: 'https',
    host: 'chat.example.com',
    port: '443',
    field: undefined,
    policy: undefined,
  },
  upgrade: ['WebSocket', 'other'],
  stripped: false,
}

const request = {
  facts,
  route,
  endpoint: 'http://chat-1:3000',
  user: 'alice',
  durationMs: 12.345678,
}

const WEBSOCKET_FIELDS = ['messagesUp', 'messagesDown', 'wsCloseBy', 'wsCloseCode', 'blind']

type Line = Record<string, unknown> & { level: string; msg: string }

function setUp() {
  const lines: string[] = []
  const log = createLogger(
    { level: 'debug', format: 'json' },
    { write: (line) => lines.push(line) },
  )
  const metrics = createMetrics({
    routes: [route],
    relay: { name: 'portable', why: 'relay.engine is portable' },
    openTunnels: () => [],
    listeners: () => [],
    endpoints: () => [
      {
        upstream: 'chat-pool',
        endpoint: { url: 'http://chat-1:3000', up: true, draining: false },
      },
    ],
  })
  return {
    report: new Report(log, metrics),
    text: () => metrics.text(),
    raw: () => lines.join(''),
    /** The lines without their time. */
    lines: () =>
      lines.map((line) => {
        const { time, ...rest } = JSON.parse(line) as Line
        assert.equal(typeof time, 'string')
        return rest
      }),
  }
}

describe('Report', () => {
  it('writes a line at the open and one at the close of a tunnel, with one id', () => {
    const { report, lines } = setUp()
    const opened = report.tunnelOpened({ ...request, protocol: 'websocket', handshakeMs: 3.2149 })
    report.tunnelClosed(
      opened,
      tunnelEnd({
        by: 'upstream',
        reason: 'reset',
        bytesUp: 10,
        bytesDown: 20,
        durationMs: 1234.56789,
        firstUpMs: 0.12345,
        firstDownMs: 7,
        cause: 'ECONNRESET',
      }),
    )
    const same = {
      requestId: 'request-1',
      tunnelId: opened.tunnelId,
      route: 'chat',
      upstream: 'chat-pool',
      endpoint: 'http://chat-1:3000',
      clientIp: '203.0.113.7',
      host: 'chat.example.com',
      path: '/ws/room',
      method: 'GET',
      protocol: 'websocket',
      user: 'alice',
      status: 101,
      handshakeMs: 3.215,
    }
    assert.match(opened.tunnelId, /^[\da-f-]{36}$/)
    assert.deepEqual(lines(), [
      { level: 'info', ...same, msg: 'tunnel open' },
      {
        level: 'info',
        ...same,
        durationMs: 1234.568,
        bytesUp: 10,
        bytesDown: 20,
        firstUpMs: 0.123,
        firstDownMs: 7,
        by: 'upstream',
        reason: 'reset',
        cause: 'ECONNRESET',
        msg: 'tunnel close',
      },
    ])
  })

  it('says by what its endpoint was spoken to, where it was HTTP/2', () => {
    for (const endpointHttp2 of [true, false]) {
      const { report, lines } = setUp()
      const opened = report.tunnelOpened({
        ...request,
        endpointHttp2,
        protocol: 'websocket',
        handshakeMs: 1,
      })
      report.tunnelClosed(opened, tunnelEnd({ by: 'client', reason: 'eof' }))
      report.requestAnswered({ ...request, endpointHttp2, status: 200, bytesUp: 0, bytesDown: 0 })
      const version = endpointHttp2 ? '2.0' : undefined
      assert.deepEqual(
        lines().map((line) => [line.msg, line['endpointHttpVersion'], line['httpVersion']]),
        [
          ['tunnel open', version, undefined],
          ['tunnel close', version, undefined],
          ['request', version, undefined],
        ],
      )
    }
  })

  it('gives each tunnel its own id', () => {
    const { report } = setUp()
    const tunnel = { ...request, protocol: 'websocket', handshakeMs: 1 }
    assert.notEqual(report.tunnelOpened(tunnel).tunnelId, report.tunnelOpened(tunnel).tunnelId)
  })

  it('leaves out of a tunnel what is not known', () => {
    const { report, lines } = setUp()
    const opened = report.tunnelOpened({
      ...request,
      endpoint: undefined,
      user: undefined,
      protocol: 'websocket',
      handshakeMs: 1,
    })
    report.tunnelClosed(opened, tunnelEnd())
    for (const line of lines()) {
      assert.ok(!('user' in line) && !('cause' in line))
      for (const field of WEBSOCKET_FIELDS) assert.ok(!(field in line), field)
      assert.equal(line['endpoint'], '-')
    }
  })

  it('counts a tunnel in every metric that it belongs to', async () => {
    const { report, text } = setUp()
    const opened = report.tunnelOpened({ ...request, protocol: 'websocket', handshakeMs: 3 })
    const before = await text()
    for (const line of [
      'upgate_requests_total{route="chat",status="101"} 1',
      'upgate_handshakes_total{route="chat",upstream="chat-pool",protocol="websocket",result="ok"} 1',
      'upgate_handshake_seconds_sum{route="chat"} 0.003',
      'upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"} 1',
    ]) {
      assert.ok(before.includes(`${line}\n`), line)
    }
    const webSocket = {
      up: frameCounts({ text: 4 }),
      down: frameCounts(),
      close: { by: 'admin', code: 4001 },
    } as const
    report.tunnelClosed(
      opened,
      tunnelEnd({ by: 'admin', reason: 'drain', bytesUp: 8, bytesDown: 9, webSocket }),
    )
    const after = await text()
    for (const line of [
      'upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"} 0',
      'upgate_tunnels_closed_total{route="chat",by="admin",reason="drain"} 1',
      'upgate_tunnel_bytes_total{route="chat",direction="down"} 9',
      'upgate_websocket_messages_total{route="chat",direction="up",type="text"} 4',
      'upgate_websocket_closes_total{route="chat",by="admin",code="4xxx"} 1',
    ]) {
      assert.ok(after.includes(`${line}\n`), line)
    }
  })

  it('writes a line for a plain request that was answered', async () => {
    const { report, lines, text } = setUp()
    report.requestAnswered({ ...request, status: 200, bytesUp: 1, bytesDown: 2 })
    assert.deepEqual(lines(), [
      {
        level: 'info',
        requestId: 'request-1',
        route: 'chat',
        upstream: 'chat-pool',
        endpoint: 'http://chat-1:3000',
        clientIp: '203.0.113.7',
        host: 'chat.example.com',
        path: '/ws/room',
        method: 'GET',
        user: 'alice',
        status: 200,
        durationMs: 12.346,
        bytesUp: 1,
        bytesDown: 2,
        msg: 'request',
      },
    ])
    const metrics = await text()
    assert.ok(metrics.includes('upgate_requests_total{route="chat",status="200"} 1\n'))
    assert.doesNotMatch(metrics, /^upgate_handshakes_total.* [1-9]/m)
  })

  it('writes why a plain request was refused', () => {
    const { report, lines } = setUp()
    report.requestRefused({
      ...request,
      refusal: new Refusal('E_UPSTREAM_REFUSED', { cause: 'ECONNREFUSED' }),
    })
    const [line] = lines()
    assert.deepEqual(
      [line?.level, line?.['status'], line?.['code'], line?.['cause']],
      ['warn', 502, 'E_UPSTREAM_REFUSED', 'ECONNREFUSED'],
    )
    assert.ok(line !== undefined && !('protocol' in line))
  })

  for (const code of Object.keys(catalogue) as Code[]) {
    it(`reports ${code} at the level and with the status of the catalogue`, async () => {
      const { report, lines, text } = setUp()
      report.handshakeRefused({ ...request, refusal: new Refusal(code) })
      const [line] = lines()
      const { level, status } = catalogue[code]
      assert.deepEqual([line?.level, line?.['status'], line?.['code']], [level, status, code])
      const metrics = await text()
      const labels = 'route="chat",upstream="chat-pool",protocol="websocket"'
      assert.ok(metrics.includes(`upgate_handshakes_total{${labels},result="${code}"} 1\n`))
      assert.ok(metrics.includes(`upgate_requests_total{route="chat",status="${status}"} 1\n`))
    })
  }

  it('reports a request whose head could not be understood by what is known of it', async () => {
    const { report, lines, text } = setUp()
    report.requestRefused({
      facts: undefined,
      requestId: 'request-2',
      clientIp: '203.0.113.9',
      method: 'GET',
      route: undefined,
      endpoint: undefined,
      user: undefined,
      durationMs: 0.5,
      refusal: new Refusal('E_HOST_INVALID'),
    })
    assert.deepEqual(lines(), [
      {
        level: 'info',
        requestId: 'request-2',
        clientIp: '203.0.113.9',
        method: 'GET',
        status: 400,
        code: 'E_HOST_INVALID',
        durationMs: 0.5,
        msg: 'request',
      },
    ])
    assert.ok((await text()).includes('upgate_requests_total{route="-",status="400"} 1\n'))
  })

  it('reports a handshake without a route under no name', async () => {
    const { report, text } = setUp()
    report.handshakeRefused({
      ...request,
      facts: { ...facts, upgrade: [] },
      route: undefined,
      refusal: new Refusal('E_ROUTE_NONE'),
    })
    const labels = 'route="-",upstream="-",protocol="-",result="E_ROUTE_NONE"'
    assert.ok((await text()).includes(`upgate_handshakes_total{${labels}} 1\n`))
  })

  it('reports an upgrade to which the upstream gave another answer', async () => {
    const { report, lines, text } = setUp()
    report.handshakeAnswered({
      ...request,
      status: 403,
      bytesDown: 5,
      cause: 'idle',
      handshakeMs: 20,
    })
    const [line] = lines()
    assert.deepEqual(
      [line?.msg, line?.['protocol'], line?.['status'], line?.['bytesDown'], line?.['cause']],
      ['request', 'WebSocket', 403, 5, 'idle'],
    )
    const metrics = await text()
    const labels = 'route="chat",upstream="chat-pool",protocol="websocket",result="answered"'
    assert.ok(metrics.includes(`upgate_handshakes_total{${labels}} 1\n`))
    assert.ok(metrics.includes('upgate_handshake_seconds_count{route="chat"} 1\n'))
  })

  it('reports bytes that were no request', async () => {
    const { report, lines, text } = setUp()
    const refusal = new Refusal('E_REQUEST_MALFORMED', { cause: 'HPE_INVALID_METHOD' })
    report.broken({ requestId: 'request-3', clientIp: '203.0.113.9', refusal })
    assert.deepEqual(lines(), [
      {
        level: 'info',
        requestId: 'request-3',
        clientIp: '203.0.113.9',
        status: 400,
        code: 'E_REQUEST_MALFORMED',
        cause: 'HPE_INVALID_METHOD',
        msg: 'request',
      },
    ])
    assert.ok((await text()).includes('upgate_requests_total{route="-",status="400"} 1\n'))
  })

  it('counts each check that was tried', async () => {
    const { report, text } = setUp()
    report.authTried('chat', [
      { check: 'staff', result: 'deny' },
      { check: 'people', result: 'pass' },
    ])
    const metrics = await text()
    assert.ok(metrics.includes('upgate_auth_total{route="chat",check="staff",result="deny"} 1\n'))
    assert.ok(metrics.includes('upgate_auth_total{route="chat",check="people",result="pass"} 1\n'))
  })

  it('warns when an endpoint is set aside, and tells when it is back', () => {
    const { report, lines } = setUp()
    report.endpointChanged('chat-pool', { url: 'http://chat-1:3000' }, false)
    report.endpointChanged('chat-pool', { url: 'http://chat-1:3000' }, true)
    const fields = { upstream: 'chat-pool', endpoint: 'http://chat-1:3000' }
    assert.deepEqual(lines(), [
      { level: 'warn', ...fields, msg: 'endpoint down' },
      { level: 'info', ...fields, msg: 'endpoint up' },
    ])
  })

  it('tells when an endpoint is emptied, and when it gets tunnels again', () => {
    const { report, lines } = setUp()
    report.endpointDrained('chat-pool', { url: 'http://chat-1:3000' }, true)
    report.endpointDrained('chat-pool', { url: 'http://chat-1:3000' }, false)
    const fields = { upstream: 'chat-pool', endpoint: 'http://chat-1:3000' }
    assert.deepEqual(lines(), [
      { level: 'info', ...fields, msg: 'endpoint drain' },
      { level: 'info', ...fields, msg: 'endpoint enable' },
    ])
  })

  it('tells how far a paced close is', () => {
    const { report, lines } = setUp()
    const fields = { upstream: 'chat-pool', endpoint: 'http://chat-1:3000', left: 90, of: 100 }
    report.drainProgress({ reason: 'drain', left: 3, of: 4 })
    report.drainProgress({ reason: 'rebalance', ...fields })
    assert.deepEqual(lines(), [
      { level: 'info', reason: 'drain', left: 3, of: 4, msg: 'closing tunnels' },
      { level: 'info', reason: 'rebalance', ...fields, msg: 'closing tunnels' },
    ])
  })

  it('tells of each reload, and counts it', async () => {
    const { report, lines, text } = setUp()
    const file = '/etc/upgate/upgate.yaml'
    report.reloaded({ file, cause: 'signal', changes: 3, closed: 17 })
    report.reloaded({ file, cause: 'file', changes: 0, closed: 0 })
    assert.match(await text(), /^upgate_config_last_reload_successful 1$/m)
    report.reloadFailed({ file, cause: 'api', problems: `${file}:3:1: routes: is missing` })
    assert.deepEqual(lines(), [
      { level: 'info', file, cause: 'signal', changes: 3, closed: 17, msg: 'config reloaded' },
      { level: 'info', file, cause: 'file', changes: 0, closed: 0, msg: 'config reloaded' },
      {
        level: 'error',
        file,
        cause: 'api',
        problems: `${file}:3:1: routes: is missing`,
        msg: 'config not reloaded, the old one stays in use',
      },
    ])
    const metrics = await text()
    for (const line of [
      'upgate_config_reloads_total{result="ok"} 2',
      'upgate_config_reloads_total{result="failed"} 1',
      'upgate_config_last_reload_successful 0',
    ]) {
      assert.ok(metrics.includes(`${line}\n`), line)
    }
  })

  it('warns when clients that are closed for another endpoint come back to theirs', () => {
    const { report, lines } = setUp()
    report.rebalanceStuck('chat-pool')
    assert.deepEqual(lines(), [
      { level: 'warn', upstream: 'chat-pool', msg: 'rebalancing brings nothing' },
    ])
  })

  it('warns of upstreams whose certificates are not checked', () => {
    const { report, lines } = setUp()
    report.upstreamInsecure('chat-pool')
    assert.deepEqual(lines(), [
      {
        level: 'warn',
        upstream: 'chat-pool',
        msg: 'nobody checks who answers for this upstream',
      },
    ])
  })

  it('warns of sockets that systemd has passed for nothing', () => {
    const { report, lines } = setUp()
    report.socketsUntaken([
      { fd: 4, name: 'admin' },
      { fd: 5, name: 'unknown' },
    ])
    const sockets = ['admin (4)', 'unknown (5)']
    assert.deepEqual(lines(), [
      { level: 'warn', sockets, msg: 'no listener is for these sockets of systemd' },
    ])
  })

  it('warns once a minute that there are no descriptors, and counts each time', async () => {
    let nowMs = 0
    const clock = mock.method(performance, 'now', () => nowMs)
    try {
      const { report, lines, text } = setUp()
      const refusal = new Refusal('E_GATEWAY_EXHAUSTED', { cause: 'connect EMFILE' })
      report.requestRefused({ ...request, refusal })
      report.handshakeRefused({ ...request, refusal })
      report.exhausted('accept at http://127.0.0.1/', 7)
      nowMs = 60_000
      report.exhausted('EMFILE')
      const msg = 'no descriptors left'
      assert.deepEqual(
        lines().filter((line) => line.msg === msg),
        [
          { level: 'warn', cause: 'connect EMFILE', times: 1, msg },
          { level: 'warn', cause: 'EMFILE', times: 9, msg },
        ],
      )
      assert.ok((await text()).includes('upgate_descriptors_exhausted_total 10\n'))
    } finally {
      clock.mock.restore()
    }
  })

  it('warns of a limit of descriptors below what the config needs, and says what to set', () => {
    const { report, lines } = setUp()
    report.tooFewDescriptors(1024, 20_256)
    const [line] = lines()
    assert.deepEqual([line?.level, line?.['limit'], line?.['needed']], ['warn', 1024, 20_256])
    assert.match(String(line?.['cause']), /LimitNOFILE=20256 .*ulimit -n 20256/)
  })

  it('warns of clients that found no place, with the address as it is everywhere', () => {
    const { report, lines } = setUp()
    const refused = { url: 'http://127.0.0.1/', key: 'connections', full: 0, share: 3 }
    report.clientsRefused({ ...refused, clientIp: '::ffff:192.0.2.7' })
    const line = { level: 'warn', ...refused, clientIp: '192.0.2.7', msg: 'clients turned away' }
    assert.deepEqual(lines(), [line])
  })

  it('warns once for each peer whose handshakes have lost their Upgrade, and says so in the line of each', () => {
    const { report, lines } = setUp()
    const tell = (clientIp: string): void =>
      report.requestAnswered({
        ...request,
        facts: { ...facts, clientIp, lostUpgrade: true },
        status: 200,
      })
    const warned = (): unknown[] =>
      lines().flatMap((line) =>
        line['msg'] === 'handshake without its Upgrade' ? [line['clientIp']] : [],
      )
    tell('192.0.2.7')
    tell('192.0.2.7')
    tell('')
    const said = (peer: string): string =>
      `a WebSocket handshake without its Upgrade: if a proxy at ${peer} removes it, add ${peer} to trustedProxies`
    assert.deepEqual(warned(), ['192.0.2.7', ''])
    assert.deepEqual(
      lines().map(({ cause }) => cause),
      [said('192.0.2.7'), said('192.0.2.7'), said('192.0.2.7'), said('unix'), said('unix')],
    )
    for (let number = 0; number < 100; number += 1) tell(`198.51.100.${number}`)
    tell('198.51.100.0')
    assert.equal(warned().length, 102)
  })

  it('warns of keys that a reload cannot change', () => {
    const { report, lines } = setUp()
    report.keysNeedRestart(['listeners', 'relay.threads'])
    const keys = ['listeners', 'relay.threads']
    assert.deepEqual(lines(), [{ level: 'warn', keys, msg: 'config keys need a restart' }])
  })

  it('tells of each change through the admin API what it was confined to', () => {
    const { report, lines } = setUp()
    const drain = { by: '127.0.0.1', upstream: 'chat-pool', endpoint: 'http://chat-1:3000' }
    const close = { route: 'chat', user: 'alice', clientIp: '203.0.113.7', tunnelId: 'tunnel-1' }
    report.adminAction({ action: 'drain', ...drain, tunnels: 12 })
    report.adminAction({ action: 'close', ...close, tunnels: 1 })
    assert.deepEqual(lines(), [
      { level: 'info', action: 'drain', ...drain, tunnels: 12, msg: 'admin action' },
      { level: 'info', action: 'close', ...close, tunnels: 1, msg: 'admin action' },
    ])
  })

  it('warns when credentials could not be checked again', () => {
    const { report, lines } = setUp()
    const fields = { route: 'chat', check: 'portal', tunnelId: 'tunnel-1', cause: 'ECONNREFUSED' }
    report.recheckFailed(fields)
    assert.deepEqual(lines(), [
      { level: 'warn', ...fields, msg: 'credentials could not be checked again' },
    ])
  })

  it('never logs a query, a field or a token', () => {
    const { report, raw } = setUp()
    const opened = report.tunnelOpened({ ...request, protocol: 'websocket', handshakeMs: 1 })
    report.tunnelClosed(opened, tunnelEnd())
    report.requestAnswered({ ...request, status: 200 })
    report.requestRefused({ ...request, refusal: new Refusal('E_AUTH_INVALID') })
    report.handshakeAnswered({ ...request, status: 200 })
    report.handshakeRefused({
      ...request,
      refusal: new Refusal('E_AUTH_MISSING', { fields: ['WWW-Authenticate', 'Bearer secret'] }),
    })
    assert.ok(!raw().includes('secret'))
    assert.ok(!raw().includes('?'))
  })

  it('clips what a client can make long', () => {
    const { report, raw, lines } = setUp()
    const long = 'x'.repeat(16_000)
    const longFacts = { ...facts, host: long, path: `/${long}`, upgrade: [long] }
    const opened = report.tunnelOpened({
      ...request,
      facts: longFacts,
      user: long,
      protocol: long,
      handshakeMs: 1,
    })
    report.tunnelClosed(opened, tunnelEnd())
    report.handshakeAnswered({ ...request, facts: longFacts, user: long, status: 200 })
    assert.equal(lines().length, 3)
    assert.ok(raw().length < 3 * (4 * 2048 + 600))
  })
})
