import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { atOnce } from '../../src/slices.ts'
import type { RouteConfig } from '../../src/config/config.ts'
import { createMetrics, NONE, type OpenTunnel, labelsOf } from '../../src/report/metrics.ts'
import type { EndpointState, ListenerState } from '../../src/report/declared.ts'
import type { TunnelReading } from '../../src/relay/tunnel-end.ts'
import { frameCounts, reading, tunnelEnd } from '../support/readings.ts'

const chat = { name: 'chat', upstream: 'chat-pool', upgrade: ['websocket', 'spdy/3.1'] } as const
const wild = { name: 'wild', upstream: 'wild-pool', upgrade: 'any' } as const
const tunnel = {
  route: 'chat',
  upstream: 'chat-pool',
  endpoint: 'http://chat-1:3000',
  protocol: 'websocket',
}
const end = tunnelEnd({ durationMs: 2000 })

function setUp() {
  const open = new Set<OpenTunnel>()
  const endpoints: EndpointState[] = [
    { upstream: 'chat-pool', endpoint: { url: 'http://chat-1:3000', up: true, draining: false } },
    { upstream: 'wild-pool', endpoint: { url: 'builtin:echo', up: false, draining: true } },
  ]
  const listeners: ListenerState[] = []
  const metrics = createMetrics({
    routes: [chat, wild] as unknown as RouteConfig[],
    relay: { name: 'portable', why: 'relay.engine is portable' },
    openTunnels: () => open,
    endpoints: () => endpoints,
    listeners: () => listeners,
  })
  return { metrics, open, endpoints, listeners, read: () => values(metrics.text()) }
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

function openTunnel(numbers: TunnelReading): OpenTunnel {
  return { route: 'chat', tunnel: { read: () => numbers } }
}

async function seriesOf(
  read: Map<string, number> | Promise<Map<string, number>>,
  route: string,
): Promise<string[]> {
  return gatewaySeries(await read).filter((series) => series.includes(`route="${route}"`))
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
    metrics.tunnelClosed('chat', metrics.tunnelOpened(tunnel), end)
    const declared = new Map<string, string>()
    for (const series of gatewaySeries(await values(metrics.text()))) {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? []
      const names = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label)
      declared.set(
        name.replace(/_(bucket|sum|count)$/, ''),
        names.filter((label) => label !== 'le').join(),
      )
    }
    assert.deepEqual(Object.fromEntries(declared), {
      upgate_auth_total: 'route,check,result',
      upgate_build_info: 'version,node,relay,why',
      upgate_config_last_reload_successful: '',
      upgate_config_last_reload_timestamp_seconds: '',
      upgate_config_reloads_total: 'result',
      upgate_descriptors_exhausted_total: '',
      upgate_endpoint_draining: 'upstream,endpoint',
      upgate_endpoint_up: 'upstream,endpoint',
      upgate_handshake_seconds: 'route',
      upgate_handshakes_total: 'route,upstream,protocol,result',
      upgate_requests_total: 'route,status',
      upgate_tunnel_bytes_total: 'route,direction',
      upgate_tunnel_seconds: 'route',
      upgate_tunnels_closed_total: 'route,by,reason',
      upgate_tunnels_open: 'route,upstream,endpoint,protocol',
      upgate_websocket_blind_total: 'route,direction',
      upgate_websocket_closes_total: 'route,by,code',
      upgate_websocket_messages_total: 'route,direction,type',
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
    metrics.tunnelClosed('chat', metrics.tunnelOpened(tunnel), end)
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
      'upgate_websocket_messages_total{route="chat",direction="up",type="text"}',
      'upgate_websocket_messages_total{route="chat",direction="down",type="other"}',
      'upgate_websocket_blind_total{route="chat",direction="up"}',
      'upgate_websocket_closes_total{route="chat",by="client",code="1000"}',
      'upgate_websocket_closes_total{route="chat",by="upstream",code="1006"}',
      'upgate_config_reloads_total{result="failed"}',
      'upgate_descriptors_exhausted_total',
    ]) {
      assert.equal(seen.get(series), 0, series)
    }
  })

  it('counts a tunnel in and out', async () => {
    const { metrics, read } = setUp()
    const gauge = `upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}`
    const first = metrics.tunnelOpened(tunnel)
    const second = metrics.tunnelOpened({ ...tunnel, protocol: 'WebSocket' })
    assert.equal((await read()).get(gauge), 2)
    metrics.tunnelClosed('chat', first, end)
    const seen = await read()
    assert.equal(seen.get(gauge), 1)
    assert.equal(seen.get('upgate_tunnels_closed_total{route="chat",by="client",reason="eof"}'), 1)
    assert.equal(seen.get('upgate_tunnel_seconds_bucket{le="1",route="chat"}'), 0)
    assert.equal(seen.get('upgate_tunnel_seconds_bucket{le="5",route="chat"}'), 1)
    assert.equal(seen.get('upgate_tunnel_seconds_sum{route="chat"}'), 2)
    metrics.tunnelClosed('chat', second, {
      ...end,
      durationMs: 86_400_001,
      by: 'gateway',
      reason: 'drain',
    })
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
    const numbers = { ...reading() }
    const opened = openTunnel(numbers)
    open.add(opened)
    const cell = metrics.tunnelOpened(tunnel)
    numbers.bytesUp = 100
    numbers.bytesDown = 7
    for (const _ of [1, 2]) {
      const seen = await read()
      assert.deepEqual([seen.get(up), seen.get(down)], [100, 7])
    }
    numbers.bytesUp = 150
    assert.equal((await read()).get(up), 150)
    numbers.bytesUp = 160
    metrics.tunnelClosed('chat', cell, { ...end, ...numbers })
    open.delete(opened)
    for (const _ of [1, 2]) {
      const seen = await read()
      assert.deepEqual([seen.get(up), seen.get(down)], [160, 7])
    }
    open.add(openTunnel(reading({ bytesUp: 5 })))
    open.add(openTunnel(reading({ bytesUp: 6, bytesDown: 1 })))
    const seen = await read()
    assert.deepEqual([seen.get(up), seen.get(down)], [171, 8])
  })

  it('never lets a byte counter go down, not even when a tunnel is missing for a moment', async () => {
    const { metrics, open, read } = setUp()
    const up = 'upgate_tunnel_bytes_total{route="chat",direction="up"}'
    const opened = openTunnel(reading({ bytesUp: 100 }))
    open.add(opened)
    const cell = metrics.tunnelOpened(tunnel)
    assert.equal((await read()).get(up), 100)
    open.delete(opened)
    assert.equal((await read()).get(up), 100)
    metrics.tunnelClosed('chat', cell, { ...end, bytesUp: 120 })
    assert.equal((await read()).get(up), 120)
  })

  it('asks each open tunnel for its numbers once a scrape', async () => {
    const { open, read } = setUp()
    let asked = 0
    open.add({
      route: 'chat',
      tunnel: {
        read() {
          asked += 1
          return reading()
        },
      },
    })
    await read()
    assert.equal(asked, 1)
  })

  it('reads messages while a tunnel is open, by their kind, and keeps them when it has ended', async () => {
    const { metrics, open, read } = setUp()
    const count = (seen: Map<string, number>, direction: string, type: string) =>
      seen.get(
        `upgate_websocket_messages_total{route="chat",direction="${direction}",type="${type}"}`,
      )
    const webSocket = {
      up: frameCounts({ text: 1, binary: 2, ping: 3, pong: 4, close: 1, other: 6 }),
      down: frameCounts({ text: 10 }),
      close: undefined,
    }
    const opened = openTunnel(reading({ webSocket }))
    open.add(opened)
    open.add(openTunnel(reading()))
    const cell = metrics.tunnelOpened(tunnel)
    const check = async (downText: number) => {
      const seen = await read()
      const types = ['text', 'binary', 'ping', 'pong', 'close', 'other']
      assert.deepEqual(
        types.map((type) => count(seen, 'up', type)),
        [1, 2, 3, 4, 1, 6],
      )
      assert.equal(count(seen, 'down', 'text'), downText)
    }
    await check(10)
    open.delete(opened)
    await check(10)
    const down = frameCounts({ text: 11 })
    metrics.tunnelClosed('chat', cell, { ...end, webSocket: { ...webSocket, down } })
    await check(11)
    open.add(openTunnel(reading({ webSocket: { up: frameCounts(), down, close: undefined } })))
    await check(22)
  })

  it('counts tunnels whose peer broke the protocol, open or not', async () => {
    const { metrics, open, read } = setUp()
    const blind = 'upgate_websocket_blind_total{route="chat",direction="up"}'
    const broken = frameCounts({ blind: true })
    const webSocket = { up: broken, down: frameCounts(), close: undefined }
    const opened = openTunnel(reading({ webSocket }))
    open.add(opened)
    const cell = metrics.tunnelOpened(tunnel)
    assert.equal((await read()).get(blind), 1)
    metrics.tunnelClosed('chat', cell, { ...end, webSocket })
    open.delete(opened)
    const seen = await read()
    assert.equal(seen.get(blind), 1)
    assert.equal(seen.get('upgate_websocket_blind_total{route="chat",direction="down"}'), 0)
  })

  it('counts how WebSocket tunnels were closed, under codes that no peer can make more of', async () => {
    const { metrics, read } = setUp()
    for (let code = 0; code < 65_536; code += 1) {
      const webSocket = {
        up: frameCounts(),
        down: frameCounts(),
        close: { by: 'client', code },
      } as const
      metrics.tunnelClosed('chat', metrics.tunnelOpened(tunnel), { ...end, webSocket })
    }
    const codes = new Map<string | undefined, number>()
    for (const [series, value] of await read()) {
      const [, code] =
        /^upgate_websocket_closes_total\{.*by="client",code="(.*)"/.exec(series) ?? []
      if (code !== undefined) codes.set(code, value)
    }
    const single = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008]
    single.push(1009, 1010, 1011, 1012, 1013, 1014, 1015)
    const rest = 65_536 - single.length - 2000
    assert.deepEqual(
      Object.fromEntries(codes),
      Object.fromEntries([
        ...single.map((code) => [code, 1]),
        ['3xxx', 1000],
        ['4xxx', 1000],
        ['other', rest],
      ]),
    )
  })

  it('counts a WebSocket tunnel without a Close frame as 1006, by who ended it, and others not at all', async () => {
    const { metrics, read } = setUp()
    const webSocket = { up: frameCounts(), down: frameCounts(), close: undefined }
    const close = (changes: object) =>
      metrics.tunnelClosed('chat', metrics.tunnelOpened(tunnel), { ...end, ...changes })
    close({ by: 'upstream', webSocket })
    close({ by: 'upstream' })
    const seen = [...(await read())].filter(
      ([series, value]) => series.startsWith('upgate_websocket_closes_total') && value > 0,
    )
    assert.deepEqual(seen, [
      ['upgate_websocket_closes_total{route="chat",by="upstream",code="1006"}', 1],
    ])
  })

  it('counts bytes of a tunnel whose route the config no longer has', async () => {
    const { open, read } = setUp()
    open.add({ ...openTunnel(reading({ bytesUp: 3, bytesDown: 4 })), route: 'removed' })
    assert.equal(
      (await read()).get('upgate_tunnel_bytes_total{route="removed",direction="down"}'),
      4,
    )
  })

  it('shows which endpoints are up now, and which are emptied', async () => {
    const { endpoints, read } = setUp()
    const chat1 = '{upstream="chat-pool",endpoint="http://chat-1:3000"}'
    const echo = '{upstream="wild-pool",endpoint="builtin:echo"}'
    const gauges = (seen: Map<string, number>, labels: string) =>
      ['up', 'draining'].map((name) => seen.get(`upgate_endpoint_${name}${labels}`))
    const before = await read()
    assert.deepEqual(
      [gauges(before, chat1), gauges(before, echo)],
      [
        [1, 0],
        [0, 1],
      ],
    )
    endpoints.splice(0, 2, {
      upstream: 'wild-pool',
      endpoint: { url: 'builtin:echo', up: true, draining: false },
    })
    const after = await read()
    assert.deepEqual(gauges(after, chat1), [undefined, undefined])
    assert.deepEqual(gauges(after, echo), [1, 0])
  })

  it('shows the handshakes of TLS with https endpoints, those that did not happen too', async () => {
    const { endpoints, read } = setUp()
    const name = 'upgate_upstream_tls_handshakes_total'
    assert.ok(![...(await read()).keys()].some((series) => series.startsWith(name)))
    const tls = { handshakes: { full: 3, resumed: 0 } }
    const url = 'https://chat-2'
    endpoints.push({ upstream: 'chat-pool', endpoint: { url, up: true, draining: false, tls } })
    const labels = `upstream="chat-pool",endpoint="${url}"`
    for (const resumed of [0, 2]) {
      tls.handshakes.resumed = resumed
      const seen = await read()
      assert.equal(seen.get(`${name}{${labels},resumed="false"}`), 3)
      assert.equal(seen.get(`${name}{${labels},resumed="true"}`), resumed)
    }
  })

  it('shows the connections that are shared to endpoints with HTTP/2, none as well', async () => {
    const { endpoints, read } = setUp()
    const name = 'upgate_upstream_http2_connections'
    assert.ok(![...(await read()).keys()].some((series) => series.startsWith(name)))
    const http2 = { connections: 0 }
    const url = 'https://chat-2'
    endpoints.push({ upstream: 'chat-pool', endpoint: { url, up: true, draining: false, http2 } })
    for (const connections of [0, 3]) {
      http2.connections = connections
      const series = [...(await read())].filter(([key]) => key.startsWith(name))
      assert.deepEqual(series, [[`${name}{upstream="chat-pool",endpoint="${url}"}`, connections]])
    }
    endpoints.pop()
    assert.ok(![...(await read()).keys()].some((series) => series.startsWith(name)))
  })

  it('forgets the series of a route that a new config does not have, and begins those of a new one', async () => {
    const { metrics, read } = setUp()
    metrics.requestEnded('chat', 101)
    metrics.handshakeEnded(tunnel, 'ok', 3)
    metrics.authTried('chat', 'people', 'pass')
    const webSocket = { up: frameCounts({ text: 1 }), down: frameCounts(), close: undefined }
    const opened = metrics.tunnelOpened(tunnel)
    metrics.tunnelClosed('chat', opened, { ...end, bytesUp: 9, webSocket })
    assert.ok((await seriesOf(read(), 'chat')).length > 40)
    const room = { ...chat, name: 'room' }
    atOnce(metrics.reconfigure(atOnce(labelsOf([room, wild] as unknown as RouteConfig[]))))
    const seen = await read()
    assert.deepEqual(await seriesOf(seen, 'chat'), [])
    for (const series of [
      'upgate_tunnels_open{route="room",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}',
      'upgate_handshakes_total{route="room",upstream="chat-pool",protocol="websocket",result="ok"}',
      'upgate_websocket_messages_total{route="room",direction="up",type="text"}',
    ]) {
      assert.equal(seen.get(series), 0, series)
    }
    atOnce(metrics.reconfigure(atOnce(labelsOf([chat, wild] as unknown as RouteConfig[]))))
    const back = await read()
    assert.equal(back.get('upgate_tunnel_bytes_total{route="chat",direction="up"}'), 0)
    assert.deepEqual(await seriesOf(back, 'room'), [])
  })

  it('keeps the series of a route that is gone until its last tunnel has ended', async () => {
    const { metrics, open, read } = setUp()
    const gauge = `upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}`
    const up = 'upgate_tunnel_bytes_total{route="chat",direction="up"}'
    const tunnels = [reading({ bytesUp: 5 }), reading({ bytesUp: 6 })].map((numbers) => {
      const opened = openTunnel(numbers)
      open.add(opened)
      return { opened, numbers, cell: metrics.tunnelOpened(tunnel) }
    })
    atOnce(metrics.reconfigure(atOnce(labelsOf([wild] as unknown as RouteConfig[]))))
    for (const [index, { opened, numbers, cell }] of tunnels.entries()) {
      const seen = await read()
      assert.deepEqual([seen.get(gauge), seen.get(up)], [2 - index, 11])
      metrics.tunnelClosed('chat', cell, { ...end, ...numbers })
      open.delete(opened)
    }
    assert.deepEqual(await seriesOf(read(), 'chat'), [])
  })

  it('forgets what a request of an old config counts late', async () => {
    const { metrics, read } = setUp()
    atOnce(metrics.reconfigure(atOnce(labelsOf([wild] as unknown as RouteConfig[]))))
    await read()
    metrics.requestEnded('chat', 200)
    metrics.handshakeEnded(tunnel, 'answered', 3)
    metrics.requestEnded(NONE, 404)
    const seen = await read()
    assert.deepEqual(await seriesOf(seen, 'chat'), [])
    assert.equal(seen.get('upgate_requests_total{route="-",status="404"}'), 1)
  })

  it('forgets upstreams and endpoints that a route does not have any more, when nothing is open there', async () => {
    const { metrics, open, endpoints, read } = setUp()
    const gauge = `upgate_tunnels_open{route="chat",upstream="chat-pool",endpoint="http://chat-1:3000",protocol="websocket"}`
    const spdy = gauge.replace('websocket', 'spdy/3.1')
    const handshakes = (upstream: string) =>
      `upgate_handshakes_total{route="chat",upstream="${upstream}",protocol="websocket",result="ok"}`
    const opened = openTunnel(reading())
    open.add(opened)
    const cell = metrics.tunnelOpened(tunnel)
    await read()
    const endpoint = { url: 'http://new:3000', up: true, draining: false }
    endpoints.splice(0, 1, { upstream: 'new-pool', endpoint })
    atOnce(
      metrics.reconfigure(
        atOnce(labelsOf([{ ...chat, upstream: 'new-pool' }, wild] as unknown as RouteConfig[])),
      ),
    )
    const moved = await read()
    assert.deepEqual([moved.get(gauge), moved.get(spdy)], [1, undefined])
    assert.equal(moved.get(handshakes('chat-pool')), undefined)
    assert.equal(moved.get(handshakes('new-pool')), 0)
    metrics.tunnelClosed('chat', cell, end)
    open.delete(opened)
    assert.equal((await read()).get(gauge), undefined)
  })

  it('counts a tunnel out where it was counted in, whatever tokens a new config names', async () => {
    const { metrics, open, read } = setUp()
    const labels = { ...tunnel, route: 'wild', upstream: 'wild-pool', endpoint: 'builtin:echo' }
    const gauge = (protocol: string) =>
      `upgate_tunnels_open{route="wild",upstream="wild-pool",endpoint="builtin:echo",protocol="${protocol}"}`
    const opened = { ...openTunnel(reading()), route: 'wild' }
    open.add(opened)
    const cell = metrics.tunnelOpened({ ...labels, protocol: 'tcp' })
    atOnce(
      metrics.reconfigure(
        atOnce(labelsOf([chat, { ...wild, upgrade: ['tcp'] }] as unknown as RouteConfig[])),
      ),
    )
    const before = await read()
    assert.deepEqual([before.get(gauge('other')), before.get(gauge('tcp'))], [1, 0])
    metrics.tunnelClosed('wild', cell, end)
    open.delete(opened)
    const after = await read()
    assert.deepEqual([after.get(gauge('other')), after.get(gauge('tcp'))], [0, 0])
  })

  it('tells when the config was last read and how that went', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    const { metrics, read } = setUp()
    const reloads = async () => {
      const seen = await read()
      return [
        seen.get('upgate_config_last_reload_timestamp_seconds'),
        seen.get('upgate_config_last_reload_successful'),
        seen.get('upgate_config_reloads_total{result="ok"}'),
        seen.get('upgate_config_reloads_total{result="failed"}'),
      ]
    }
    assert.deepEqual(await reloads(), [1000, 1, 0, 0])
    t.mock.timers.setTime(2_000_000)
    metrics.configReloaded('failed')
    assert.deepEqual(await reloads(), [1000, 0, 0, 1])
    metrics.configReloaded('ok')
    assert.deepEqual(await reloads(), [2000, 1, 1, 1])
  })

  it('makes no series out of what clients and upstreams send', async () => {
    const { metrics, read } = setUp()
    const round = (from: number) => {
      for (let index = from; index < from + 1000; index += 1) {
        const labels = {
          route: 'wild',
          upstream: 'wild-pool',
          endpoint: 'builtin:echo',
          protocol: `p${index}"\n`,
        }
        metrics.requestEnded('wild', 512 + index)
        metrics.requestEnded(NONE, 404)
        metrics.handshakeEnded(labels, 'ok', 1)
        metrics.handshakeEnded(labels, 'answered', undefined)
        metrics.tunnelClosed('wild', metrics.tunnelOpened(labels), end)
      }
    }
    round(0)
    const before = await read()
    round(1000)
    const after = await read()
    assert.deepEqual(gatewaySeries(after), gatewaySeries(before))
    assert.ok(gatewaySeries(after).length < 120)
    assert.equal(after.get('upgate_requests_total{route="wild",status="other"}'), 2000)
    assert.equal(
      after.get(
        'upgate_handshakes_total{route="wild",upstream="wild-pool",protocol="other",result="ok"}',
      ),
      2000,
    )
    assert.equal(after.get('upgate_requests_total{route="-",status="404"}'), 2000)
  })

  it('tells when certificates expire, the first of one name, how handshakes ended, and who found no place', async () => {
    const { listeners, read } = setUp()
    const handshakes = { full: 3, resumed: 2, failed: 1, refused: 0 }
    const certificates = [
      { title: 'a.test', expiresAtMs: 5000 },
      { title: 'a.test', expiresAtMs: 4000 },
      { title: 'b.test', expiresAtMs: 9000 },
    ]
    listeners.push({ listener: 'a:1', certificates, handshakes, refused: { full: 2, share: 5 } })
    const expiry = 'upgate_certificate_expiry_timestamp_seconds'
    const ended = 'upgate_tls_handshakes_total'
    const first = await read()
    assert.equal(first.get(`${expiry}{listener="a:1",name="a.test"}`), 4)
    assert.equal(first.get(`${expiry}{listener="a:1",name="b.test"}`), 9)
    assert.equal(first.get(`${ended}{listener="a:1",result="full"}`), 3)
    assert.equal(first.get(`${ended}{listener="a:1",result="refused"}`), 0)
    const refused = 'upgate_connections_refused_total'
    assert.equal(first.get(`${refused}{listener="a:1",why="full"}`), 2)
    assert.equal(first.get(`${refused}{listener="a:1",why="share"}`), 5)
    listeners.pop()
    assert.ok(![...(await read()).keys()].some((series) => series.includes('listener=')))
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
