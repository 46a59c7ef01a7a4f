/**
 * What the gateway counts, and how it is read. Label values come from the config and from fixed lists alone: nothing that
 * a client or an upstream sends can make a new series.
 */

import { STATUS_CODES } from 'node:http'
import { type Histogram, Registry } from 'prom-client'
import type { Tried } from '../auth/authorize.ts'
import type { RouteConfig } from '../config/config.ts'
import { sameConfig } from '../config/same.ts'
import type { Code } from '../errors.ts'
import { atOnce, type Work } from '../slices.ts'
import type { TunnelEnd, TunnelReading } from '../relay/tunnel-end.ts'
import {
  declareMetrics,
  type DeclaredMetrics,
  type EndpointState,
  type ListenerState,
} from './declared.ts'
import { processMetrics } from './process-metrics.ts'
import type { Cell, Series } from './series.ts'
import { FRAME_TYPES, Traffic } from './traffic.ts'

/** The label value where there is nothing to name: no route matched, no upstream was reached, no protocol was asked for. */
export const NONE = '-'

/** The label value of protocols that no route names, of statuses that nobody has registered, and of close codes out of range. */
const OTHER = 'other'

/** The close code of a connection that ended without a Close frame (RFC 6455 7.1.5). */
export const NO_CLOSE = 1006

const DIRECTIONS = ['up', 'down'] as const

/** `ok` for a tunnel, `answered` where the upstream gave another answer than 101, else why the gateway refused. */
export type HandshakeResult = 'ok' | 'answered' | Code

interface HandshakeLabels {
  readonly route: string
  readonly upstream: string
  /** The token as it was sent; `NONE` where none was. */
  readonly protocol: string
}

interface TunnelLabels extends HandshakeLabels {
  readonly endpoint: string
}

/** What is read only when somebody asks, and how the gateway was built. */
export interface MetricsSources {
  /** Those of the start; see `reconfigure`. */
  readonly routes: readonly RouteConfig[]
  /** Which relay moves the bytes, and why that one. */
  readonly relay: { readonly name: string; readonly why: string }
  /** A tunnel leaves in the same turn of the event loop in which `tunnelClosed` is called for it. */
  readonly openTunnels: () => Iterable<OpenTunnel>
  readonly endpoints: () => Iterable<EndpointState>
  readonly listeners: () => Iterable<ListenerState>
}

export interface OpenTunnel {
  readonly route: string
  /** Read at each scrape: the numbers move while the tunnel is open. */
  readonly tunnel: { read(): TunnelReading }
}

/** What `report.ts` tells the metrics; each call costs a microsecond at most. */
export interface Metrics {
  readonly contentType: string
  /** All metrics in Prometheus' text format. */
  text(): Promise<string>
  /** `status` 101 for an upgrade, 499 for a client that left. */
  requestEnded(route: string, status: number): void
  /** `ms` from the request to the upstream's answer; undefined where none came. */
  handshakeEnded(labels: HandshakeLabels, result: HandshakeResult, ms: number | undefined): void
  authTried(route: string, check: string, result: Tried['result']): void
  /** What it returns goes to `tunnelClosed`. */
  tunnelOpened(labels: TunnelLabels): Cell
  /** An open tunnel of the route `from` counts under other labels from now on, with what passes it after `reading`. */
  tunnelMoved(from: string, opened: Cell, to: TunnelLabels, reading: TunnelReading): Cell
  /** Once for each `tunnelOpened`. */
  tunnelClosed(route: string, opened: Cell, end: TunnelEnd): void
  configReloaded(result: 'ok' | 'failed'): void
  /** There was no descriptor, or no memory, for a connection. */
  exhausted(times: number): void
  /**
   * The labels of a new config: they hold from now on, and the series of its routes begin. Series of those that are gone, and of their endpoints, are left out from the first read on at
   * which none of their tunnels is open.
   */
  reconfigure(labels: ConfigLabels): Work<void>
}

/** Label values that a config allows. */
export interface ConfigLabels {
  /** By name. */
  readonly routes: ReadonlyMap<string, RouteConfig>
  /** The tokens that routes name, in lower case. */
  readonly protocols: ReadonlySet<string>
}

export function* labelsOf(configs: readonly RouteConfig[]): Work<ConfigLabels> {
  const routes = new Map<string, RouteConfig>()
  const protocols = new Set<string>()
  for (const route of configs) {
    routes.set(route.name, route)
    for (const token of namedTokens(route)) protocols.add(token)
    yield
  }
  return { routes, protocols }
}

/** Each has a registry of its own, so that two gateways in one process do not meet. */
export function createMetrics(sources: MetricsSources): Metrics {
  return new GatewayMetrics(sources)
}

class GatewayMetrics implements Metrics {
  readonly #sources: MetricsSources
  readonly #registry = new Registry()
  readonly #metrics: DeclaredMetrics
  readonly #statuses = statusLabels()
  /** By name, as of the present config. */
  #routes: ReadonlyMap<string, RouteConfig> = new Map()
  /** The tokens that routes name, in lower case. */
  #protocols: ReadonlySet<string> = new Set()
  readonly #seconds = new Map<string, RouteSeconds>()
  /** Of tunnels that have ended, by route. */
  readonly #endedTraffic = new Map<string, Traffic>()

  constructor(sources: MetricsSources) {
    this.#sources = sources
    this.#metrics = declareMetrics(this.#registry, sources)
    this.#metrics.exhausted.at()
    this.#metrics.reloads.at('ok')
    this.#metrics.reloads.at('failed')
    this.#configRead()
    atOnce(this.reconfigure(atOnce(labelsOf(sources.routes))))
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  async text(): Promise<string> {
    const open = this.#readTunnels()
    this.#dropGone(open)
    this.#beginTunnelsOpen()
    // It takes the values of all metrics before its first await.
    const [gateway, process] = await Promise.all([
      this.#registry.metrics(),
      processMetrics().metrics(),
    ])
    return `${gateway}\n${process}`
  }

  requestEnded(route: string, status: number): void {
    this.#metrics.requests.at(route, this.#statuses.get(status) ?? OTHER).value += 1
  }

  handshakeEnded(labels: HandshakeLabels, result: HandshakeResult, ms: number | undefined): void {
    const { route, upstream } = labels
    this.#metrics.handshakes.at(
      route,
      upstream,
      this.#protocolLabel(labels.protocol),
      result,
    ).value += 1
    if (ms !== undefined) this.#secondsOf(route).handshake.observe(ms / 1000)
  }

  authTried(route: string, check: string, result: Tried['result']): void {
    this.#metrics.auth.at(route, check, result).value += 1
  }

  tunnelOpened({ route, upstream, endpoint, protocol }: TunnelLabels): Cell {
    const { tunnelsOpen } = this.#metrics
    const opened = tunnelsOpen.at(route, upstream, endpoint, this.#protocolLabel(protocol))
    opened.value += 1
    return opened
  }

  tunnelMoved(from: string, opened: Cell, to: TunnelLabels, reading: TunnelReading): Cell {
    opened.value -= 1
    if (from !== to.route) {
      // A tunnel's reading goes on from where it is: what it has by now is the old route's.
      this.#endedTrafficOf(from).add(reading)
      this.#endedTrafficOf(to.route).subtract(reading)
    }
    return this.tunnelOpened(to)
  }

  tunnelClosed(route: string, opened: Cell, end: TunnelEnd): void {
    const { by, reason, webSocket } = end
    opened.value -= 1
    this.#metrics.tunnelsClosed.at(route, by, reason).value += 1
    this.#secondsOf(route).tunnel.observe(end.durationMs / 1000)
    this.#endedTrafficOf(route).add(end)
    if (webSocket === undefined) return
    const close = webSocket.close ?? { by, code: NO_CLOSE }
    this.#metrics.closes.at(route, close.by, closeLabel(close.code)).value += 1
  }

  exhausted(times: number): void {
    this.#metrics.exhausted.at().value += times
  }

  configReloaded(result: 'ok' | 'failed'): void {
    this.#metrics.reloads.at(result).value += 1
    if (result === 'ok') this.#configRead()
    else this.#metrics.lastReloadOk.at().value = 0
  }

  *reconfigure({ routes, protocols }: ConfigLabels): Work<void> {
    const before = this.#routes
    this.#routes = routes
    this.#protocols = protocols
    for (const route of routes.values()) {
      const known = before.get(route.name)
      if (known === undefined || !hasSameSeries(known, route)) this.#beginRoute(route)
      yield
    }
  }

  #configRead(): void {
    this.#metrics.lastReloadOk.at().value = 1
    this.#metrics.lastReloadSeconds.at().value = Date.now() / 1000
  }

  #protocolLabel(token: string): string {
    if (token === NONE || this.#protocols.has(token)) return token
    const lower = token.toLowerCase()
    return this.#protocols.has(lower) ? lower : OTHER
  }

  #secondsOf(route: string): RouteSeconds {
    let seconds = this.#seconds.get(route)
    if (seconds === undefined) {
      const { handshakeSeconds, tunnelSeconds } = this.#metrics
      seconds = { handshake: handshakeSeconds.labels(route), tunnel: tunnelSeconds.labels(route) }
      this.#seconds.set(route, seconds)
    }
    return seconds
  }

  #endedTrafficOf(route: string): Traffic {
    let traffic = this.#endedTraffic.get(route)
    if (traffic === undefined) {
      traffic = new Traffic()
      this.#endedTraffic.set(route, traffic)
    }
    return traffic
  }

  /** Series that alerts compare with begin at 0 and not at their first event, which `increase()` would miss. */
  #beginRoute(route: RouteConfig): void {
    const { name, upstream } = route
    const { tunnelBytes, tunnelsClosed, handshakes, messages, blind, closes } = this.#metrics
    for (const direction of DIRECTIONS) tunnelBytes.at(name, direction)
    for (const by of ['client', 'upstream']) tunnelsClosed.at(name, by, 'eof')
    for (const token of namedTokens(route)) handshakes.at(name, upstream, token, 'ok')
    if (!namedTokens(route).includes('websocket')) return
    for (const direction of DIRECTIONS) {
      for (const type of FRAME_TYPES) messages.at(name, direction, type)
      blind.at(name, direction)
    }
    for (const by of ['client', 'upstream']) {
      for (const code of [1000, NO_CLOSE]) closes.at(name, by, closeLabel(code))
    }
  }

  /** An endpoint without tunnels shows 0, not nothing. */
  #beginTunnelsOpen(): void {
    const byUpstream = Map.groupBy(this.#routes.values(), ({ upstream }) => upstream)
    for (const { upstream, endpoint } of this.#sources.endpoints()) {
      for (const route of byUpstream.get(upstream) ?? []) {
        for (const token of namedTokens(route)) {
          this.#metrics.tunnelsOpen.at(route.name, upstream, endpoint.url, token)
        }
      }
    }
  }

  /** The one pass over the open tunnels that a scrape makes. Returns the routes that have some. */
  #readTunnels(): ReadonlyMap<string, Traffic> {
    const open = new Map<string, Traffic>()
    for (const { route, tunnel } of this.#sources.openTunnels()) {
      let traffic = open.get(route)
      if (traffic === undefined) {
        traffic = this.#endedTrafficOf(route).copy()
        open.set(route, traffic)
      }
      traffic.add(tunnel.read())
    }
    for (const [route, ended] of this.#endedTraffic) {
      this.#showTraffic(route, open.get(route) ?? ended)
    }
    return open
  }

  #showTraffic(route: string, traffic: Traffic): void {
    const { tunnelBytes, messages, blind } = this.#metrics
    for (const direction of DIRECTIONS) {
      const flow = traffic[direction]
      raise(tunnelBytes, flow.bytes, route, direction)
      for (const type of FRAME_TYPES) raise(messages, flow[type], route, direction, type)
      raise(blind, flow.blind, route, direction)
    }
  }

  /** What comes late, of requests that began under an old config, goes at the next read. */
  #dropGone(open: ReadonlyMap<string, unknown>): void {
    const routes = this.#routes
    const isGone = (route: string): boolean =>
      route !== NONE && !routes.has(route) && !open.has(route)
    const { handshakes, tunnelsOpen, requests, tunnelsClosed, auth } = this.#metrics
    const { tunnelBytes, messages, blind, closes } = this.#metrics
    for (const series of [requests, tunnelsClosed, auth, tunnelBytes, messages, blind, closes]) {
      series.drop(({ route = NONE }) => isGone(route))
    }
    handshakes.drop(({ route = NONE, upstream = NONE }) => {
      const config = routes.get(route)
      if (config === undefined) return isGone(route)
      return upstream !== NONE && upstream !== config.upstream
    })
    const endpoints = new Set<string>()
    for (const { upstream, endpoint } of this.#sources.endpoints()) {
      endpoints.add(`${upstream} ${endpoint.url}`)
    }
    tunnelsOpen.drop(({ route = NONE, upstream = NONE, endpoint = NONE }, value) => {
      if (value > 0) return false
      return routes.get(route)?.upstream !== upstream || !endpoints.has(`${upstream} ${endpoint}`)
    })
    this.#dropTotals(isGone)
  }

  #dropTotals(isGone: (route: string) => boolean): void {
    const { handshakeSeconds, tunnelSeconds } = this.#metrics
    for (const route of [...this.#seconds.keys()].filter(isGone)) {
      handshakeSeconds.remove(route)
      tunnelSeconds.remove(route)
      this.#seconds.delete(route)
    }
    for (const route of [...this.#endedTraffic.keys()].filter(isGone)) {
      this.#endedTraffic.delete(route)
    }
  }
}

interface RouteSeconds {
  readonly handshake: Histogram.Internal<'route'>
  readonly tunnel: Histogram.Internal<'route'>
}

function namedTokens({ upgrade }: RouteConfig): readonly string[] {
  return upgrade === 'any' ? [] : upgrade
}

/** A counter never goes down, not even when a tunnel is between its source and its end. */
function raise(series: Series, value: number, ...labels: string[]): void {
  if (value === 0) return
  const cell = series.at(...labels)
  if (value > cell.value) cell.value = value
}

/** A peer may send any of 65,536 codes: those that RFC 6455 and IANA give a meaning stand for themselves. */
function closeLabel(code: number): string {
  if (code >= 1000 && code <= 1015 && code !== 1004) return String(code)
  if (code >= 3000 && code <= 3999) return '3xxx'
  return code >= 4000 && code <= 4999 ? '4xxx' : OTHER
}

function hasSameSeries(one: RouteConfig, other: RouteConfig): boolean {
  return one.upstream === other.upstream && sameConfig(one.upgrade, other.upgrade)
}

function statusLabels(): ReadonlyMap<number, string> {
  const labels = new Map(Object.keys(STATUS_CODES).map((status) => [Number(status), status]))
  // For a client that has left; it is never sent.
  return labels.set(499, '499')
}
