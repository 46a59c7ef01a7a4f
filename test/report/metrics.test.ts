import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import type { RouteConfig } from '../../src/config/config.ts'
import { createMetrics, NONE, type OpenTunnelBytes } from '../../src/report/metrics.ts'
import type { EndpointState } from '../../src/report/declared.ts'
import type { TunnelEnd } from '../../src/relay/tunnel-end.ts'

const chat = { name: 'chat', upstream: 'chat-pool', upgrade: ['websocket', 'spdy/3.1'] } as const
const wild = { name: 'wild', upstream: 'wild-pool', upgrade: 'any' } as const
const tunnel = {
  route: 'chat',
  upstream: 'chat-pool',
  endpoint: 'http://chat-1:3000',
  protocol: 'websocket',
}
const end: TunnelEnd = { by: 'client', reason: 'eof', bytesUp: 0, bytesDown: 0, durationMs: 2000 }

function setUp() {
  const open = new Set<OpenTunnelBytes>()
  const endpoints: EndpointState[] = [
    { upstream: 'chat-pool', endpoint: { url: 'http://chat-1:3000', up: true } },
    { upstream: 'wild-pool', endpoint: { url: 'builtin:echo', up: false } },
  ]
  const metrics = createMetrics({
    routes: [chat, wild] as unknown as RouteConfig[],
    relay: { name: 'portable', why: 'relay.engine is portable' },
    openTunnels: () => open,
    endpoints: () => endpoints,
  })
  return { metrics, open, endpoints, read: () => values(metrics.text()) }
}

/** Value by series, as in `name{label="value"}`. */
async function values(body: Promise<string>): Promise<Map<string, number>> {
  const read = new Map<string, number>()
  for (const line of (await body).split('\n')) {
    const at = line.lastIndexOf(' ')
    if (line !== '' && !line.startsWith('#'))
      read.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return read
}

function gatewaySeries(read: Map<string, number>): string[] {
  return [...read.keys()].filter((series) => series.startsWith('upgate_')).toSorted()
}

describe('createMetrics', () => {
  it('declares the metrics of the contract, with their labels and no others', async () => {
    const { metrics } = setUp()
    metrics.requestEnded('chat', 101)
    metrics.handshakeEnded(tunnel, 'ok', 3)
    metrics.authTried('chat', 'people', 'pass')
    metrics.tunnelOpened(tunnel)
    metrics.tunnelClosed(tunnel, end)
    const declared = new Map<string, string>()
    for (const series of gatewaySeries(await values(metrics.text()))) {
      const [, name = '', labels = ''] = /^(\w+)\{(.*)\}$/.exec(series) ?? []
      const names = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label)
      declared.set(
        name.replace(/_(bucket|sum|count)$/, ''),
        names.filter((label) => label !== 'le').join(),
      )
    }
    assert.deepEqual(Object.fromEntries(declared), {
      upgate_auth_total: 'route,check,result',
      upgate_build_info: 'version,node,relay,why',
      upgate_endpoint_up: 'upstream,endpoint',
      upgate_handshake_seconds: 'route',
      upgate_handshakes_total: 'route,upstream,protocol,result',
      upgate_requests_total: 'route,status',
      upgate_tunnel_bytes_total: 'route,direction',
      upgate_tunnel_seconds: 'route',
      upgate_tunnels_closed_total: 'route,by,reason',
      upgate_tunnels_open: 'route,upstream,endpoint,protocol',
    })
  })

  it('has text that promtool finds nothing wrong with', async (t) => {
    if (spawnSync('promtool', ['--version']).error !== undefined) {
      assert.equal(process.env['CI'], undefined, 'promtool must be there in CI')
      t.skip('promtool is not installed')
      return
    }
    const { metrics } = setUp()
    metrics.requestEnded('chat', 101)
    metrics.handshakeEnded(tunnel, 'ok', 3)
    metrics.authTried('chat', 'people', 'deny')
    metrics.tunnelOpened(tunnel)
    metrics.tunnelClosed(tunnel, end)
    const promtool = spawn('promtool', ['check', 'metrics'])
    promtool.stdin.end(await metrics.text())
    const [output, errors, [code]] = await Promise.all([
      text(promtool.stdout),
      text(promtool.stderr),
      once(promtool, 'exit'),
    ])
    assert.equal(output + errors, '')
    assert.equal(code, 0)
  })

  it('tells its version, the one of node and the relay', async () => {
    const { read } = setUp()
    const [info] = [...(await read())].filter(([series]) => series.startsWith('upgate_build_info'))
    assert.match(
      info?.[0] ?? '',
      /^upgate_build_info\{version="\d+\.\d+\.\d+.*",node="24\..*",relay="portable",why="relay\.engine is portable"\}$/,
    )
    assert.equal(info?.[1], 1)
  })

  it('has the metrics of the process, but none that lists every socket', async () => {
    const { metrics, read } = setUp()
    const seen = await read()
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'process_start_time_seconds',
      'nodejs_eventloop_lag_p99_seconds',
      'nodejs_heap_size_used_bytes',
    ]) {
      assert.ok(seen.has(name), name)
    }
    assert.ok(!(await metrics.text()).includes('nodejs_active_'))
    if (process.platform === 'linux') assert.ok((seen.get('process_open_fds') ?? 0) > 3)
  })

  it('begins with zeros for what alerts compare with', async () => {
    const { read } = setUp()
    const seen = await read()
    for (const series of [
      'upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}',
      'upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="spdy/3.1"}',
      'upgate_handshakes_total{route="chat",upstream="chat-pool",protocol="websocket",result="ok"}',
      'upgate_tunnels_closed_total{route="chat",by="client",reason="eof"}',
      'upgate_tunnel_bytes_total{route="wild",direction="down"}',
    ]) {
      assert.equal(seen.get(series), 0, series)
    }
  })

  it('counts a tunnel in and out', async () => {
    const { metrics, read } = setUp()
    const gauge = `upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}`
    metrics.tunnelOpened(tunnel)
    metrics.tunnelOpened({ ...tunnel, protocol: 'WebSocket' })
    assert.equal((await read()).get(gauge), 2)
    metrics.tunnelClosed(tunnel, end)
    const seen = await read()
    assert.equal(seen.get(gauge), 1)
    assert.equal(seen.get('upgate_tunnels_closed_total{route="chat",by="client",reason="eof"}'), 1)
    assert.equal(seen.get('upgate_tunnel_seconds_bucket{le="1",route="chat"}'), 0)
    assert.equal(seen.get('upgate_tunnel_seconds_bucket{le="5",route="chat"}'), 1)
    assert.equal(seen.get('upgate_tunnel_seconds_sum{route="chat"}'), 2)
    metrics.tunnelClosed(tunnel, { ...end, durationMs: 86_400_001, by: 'gateway', reason: 'drain' })
    const later = await read()
    assert.equal(later.get(gauge), 0)
    assert.equal(later.get('upgate_tunnel_seconds_bucket{le="86400",route="chat"}'), 1)
    assert.equal(later.get('upgate_tunnel_seconds_bucket{le="+Inf",route="chat"}'), 2)
    assert.equal(
      later.get('upgate_tunnels_closed_total{route="chat",by="gateway",reason="drain"}'),
      1,
    )
  })

  it('times the handshakes that an upstream answered, and no others', async () => {
    const { metrics, read } = setUp()
    metrics.handshakeEnded(tunnel, 'ok', 30)
    metrics.handshakeEnded({ ...tunnel, protocol: NONE }, 'E_AUTH_MISSING', undefined)
    const seen = await read()
    assert.equal(seen.get('upgate_handshake_seconds_bucket{le="0.025",route="chat"}'), 0)
    assert.equal(seen.get('upgate_handshake_seconds_bucket{le="0.05",route="chat"}'), 1)
    assert.equal(seen.get('upgate_handshake_seconds_count{route="chat"}'), 1)
    const refused = `upgate_handshakes_total{route="chat",upstream="chat-pool",protocol="-",result="E_AUTH_MISSING"}`
    assert.equal(seen.get(refused), 1)
  })

  it('reads bytes while a tunnel is open, once, and keeps them when it has ended', async () => {
    const { metrics, open, read } = setUp()
    const up = 'upgate_tunnel_bytes_total{route="chat",direction="up"}'
    const down = 'upgate_tunnel_bytes_total{route="chat",direction="down"}'
    const bytes = { bytesUp: 0, bytesDown: 0 }
    const opened = { route: 'chat', tunnel: bytes }
    open.add(opened)
    metrics.tunnelOpened(tunnel)
    bytes.bytesUp = 100
    bytes.bytesDown = 7
    for (const _ of [1, 2]) {
      const seen = await read()
      assert.deepEqual([seen.get(up), seen.get(down)], [100, 7])
    }
    bytes.bytesUp = 150
    assert.equal((await read()).get(up), 150)
    bytes.bytesUp = 160
    metrics.tunnelClosed(tunnel, { ...end, ...bytes })
    open.delete(opened)
    for (const _ of [1, 2]) {
      const seen = await read()
      assert.deepEqual([seen.get(up), seen.get(down)], [160, 7])
    }
    open.add({ route: 'chat', tunnel: { bytesUp: 5, bytesDown: 0 } })
    open.add({ route: 'chat', tunnel: { bytesUp: 6, bytesDown: 1 } })
    const seen = await read()
    assert.deepEqual([seen.get(up), seen.get(down)], [171, 8])
  })

  it('never lets a byte counter go down, not even when a tunnel is missing for a moment', async () => {
    const { metrics, open, read } = setUp()
    const up = 'upgate_tunnel_bytes_total{route="chat",direction="up"}'
    const opened = { route: 'chat', tunnel: { bytesUp: 100, bytesDown: 0 } }
    open.add(opened)
    metrics.tunnelOpened(tunnel)
    assert.equal((await read()).get(up), 100)
    open.delete(opened)
    assert.equal((await read()).get(up), 100)
    metrics.tunnelClosed(tunnel, { ...end, bytesUp: 120 })
    assert.equal((await read()).get(up), 120)
  })

  it('counts bytes of a tunnel whose route the config no longer has', async () => {
    const { open, read } = setUp()
    open.add({ route: 'removed', tunnel: { bytesUp: 3, bytesDown: 4 } })
    assert.equal(
      (await read()).get('upgate_tunnel_bytes_total{route="removed",direction="down"}'),
      4,
    )
  })

  it('shows which endpoints are up now', async () => {
    const { endpoints, read } = setUp()
    const chatUp = 'upgate_endpoint_up{upstream="chat-pool",endpoint="http://chat-1:3000"}'
    const echoUp = 'upgate_endpoint_up{upstream="wild-pool",endpoint="builtin:echo"}'
    const before = await read()
    assert.deepEqual([before.get(chatUp), before.get(echoUp)], [1, 0])
    endpoints.splice(0, 2, { upstream: 'wild-pool', endpoint: { url: 'builtin:echo', up: true } })
    const after = await read()
    assert.deepEqual([after.get(chatUp), after.get(echoUp)], [undefined, 1])
  })

  it('makes no series out of what clients and upstreams send', async () => {
    const { metrics, read } = setUp()
    const round = (from: number) => {
      for (let index = from; index < from + 1000; index += 1) {
        const labels = { ...tunnel, route: 'wild', upstream: 'wild-pool', protocol: `p${index}"\n` }
        metrics.requestEnded('wild', 512 + index)
        metrics.requestEnded(NONE, 404)
        metrics.handshakeEnded(labels, 'ok', 1)
        metrics.handshakeEnded(labels, 'answered', undefined)
        metrics.tunnelOpened(labels)
        metrics.tunnelClosed(labels, end)
      }
    }
    round(0)
    const before = await read()
    round(1000)
    const after = await read()
    assert.deepEqual(gatewaySeries(after), gatewaySeries(before))
    assert.ok(gatewaySeries(after).length < 100)
    assert.equal(after.get('upgate_requests_total{route="wild",status="other"}'), 2000)
    assert.equal(
      after.get(
        'upgate_handshakes_total{route="wild",upstream="wild-pool",protocol="other",result="ok"}',
      ),
      2000,
    )
    assert.equal(after.get('upgate_requests_total{route="-",status="404"}'), 2000)
  })

  it('knows the status of a client that has left', async () => {
    const { metrics, read } = setUp()
    metrics.requestEnded('chat', 499)
    assert.equal((await read()).get('upgate_requests_total{route="chat",status="499"}'), 1)
  })

  it('keeps two gateways in one process apart', async () => {
    const [first, second] = [setUp(), setUp()]
    first.metrics.requestEnded('chat', 200)
    assert.ok((await first.read()).has('upgate_requests_total{route="chat",status="200"}'))
    assert.ok(!(await second.read()).has('upgate_requests_total{route="chat",status="200"}'))
    assert.equal(first.metrics.contentType, 'text/plain; version=0.0.4; charset=utf-8')
  })
})
