import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RouteConfig } from '../../src/config/config.ts'
import { catalogue, Refusal, type Code } from '../../src/errors.ts'
import { createLogger } from '../../src/report/logger.ts'
import { createMetrics } from '../../src/report/metrics.ts'
import { Report } from '../../src/report/report.ts'
import type { RequestFacts } from '../../src/request/facts.ts'

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
  forwarded: { for: '203.0.113.7', proto: 'https', host: 'chat.example.com', port: '443' },
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
    endpoints: () => [],
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
    report.tunnelClosed(opened, {
      by: 'upstream',
      reason: 'reset',
      bytesUp: 10,
      bytesDown: 20,
      durationMs: 1234.56789,
      cause: 'ECONNRESET',
    })
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
        by: 'upstream',
        reason: 'reset',
        cause: 'ECONNRESET',
        msg: 'tunnel close',
      },
    ])
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
    report.tunnelClosed(opened, {
      by: 'client',
      reason: 'eof',
      bytesUp: 0,
      bytesDown: 0,
      durationMs: 1,
    })
    for (const line of lines()) {
      assert.ok(!('user' in line) && !('cause' in line))
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
    report.tunnelClosed(opened, {
      by: 'admin',
      reason: 'drain',
      bytesUp: 8,
      bytesDown: 9,
      durationMs: 1,
    })
    const after = await text()
    for (const line of [
      'upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"} 0',
      'upgate_tunnels_closed_total{route="chat",by="admin",reason="drain"} 1',
      'upgate_tunnel_bytes_total{route="chat",direction="down"} 9',
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

  it('never logs a query, a field or a token', () => {
    const { report, raw } = setUp()
    const opened = report.tunnelOpened({ ...request, protocol: 'websocket', handshakeMs: 1 })
    report.tunnelClosed(opened, {
      by: 'client',
      reason: 'eof',
      bytesUp: 0,
      bytesDown: 0,
      durationMs: 1,
    })
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
    report.tunnelClosed(opened, {
      by: 'client',
      reason: 'eof',
      bytesUp: 0,
      bytesDown: 0,
      durationMs: 1,
    })
    report.handshakeAnswered({ ...request, facts: longFacts, user: long, status: 200 })
    assert.equal(lines().length, 3)
    assert.ok(raw().length < 3 * 5000)
  })
})
