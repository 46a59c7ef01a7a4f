/**
 * What the gateway counts, and how it is read. Label values come from the config and from fixed lists alone: nothing that
 * a client or an upstream sends can make a new series.
 */

import { STATUS_CODES } from 'node:http'
import { type Histogram, Registry } from 'prom-client'
import type { Tried } from '../auth/authorize.ts'
import type { RouteConfig } from '../config/config.ts'
import type { Code } from '../errors.ts'
import type { TunnelEnd } from '../relay/tunnel-end.ts'
import { declareMetrics, type DeclaredMetrics, type EndpointState } from './declared.ts'
import { processMetrics } from './process-metrics.ts'
import type { Cell } from './series.ts'

/** The label value where there is nothing to name: no route matched, no upstream was reached, no protocol was asked for. */
export const NONE = '-'

/** The label value of protocols that no route names, and of statuses that nobody has registered. */
const OTHER = 'other'

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
  readonly routes: readonly RouteConfig[]
  /** Which relay moves the bytes, and why that one. */
  readonly relay: { readonly name: string; readonly why: string }
  /** A tunnel leaves in the same turn of the event loop in which `tunnelClosed` is called for it. */
  readonly openTunnels: () => Iterable<OpenTunnelBytes>
  readonly endpoints: () => Iterable<EndpointState>
}

export interface OpenTunnelBytes {
  readonly route: string
  /** Read at each scrape: the numbers move while the tunnel is open. */
  readonly tunnel: Bytes
}

interface Bytes {
  readonly bytesUp: number
  readonly bytesDown: number
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
  tunnelOpened(labels: TunnelLabels): void
  /** Once for each `tunnelOpened`, with the same labels. */
  tunnelClosed(labels: TunnelLabels, end: TunnelEnd): void
}

/** Each has a registry of its own, so that two gateways in one process do not meet. */
export function createMetrics(sources: MetricsSources): Metrics {
  return new GatewayMetrics(sources)
}

class GatewayMetrics implements Metrics {
  readonly #sources: MetricsSources
  readonly #registry = new Registry()
  readonly #metrics: DeclaredMetrics
  /** The tokens that routes name, in lower case. */
  readonly #protocols: ReadonlySet<string>
  readonly #statuses = statusLabels()
  readonly #seconds = new Map<string, RouteSeconds>()
  /** Of tunnels that have ended, by route. */
  readonly #endedBytes = new Map<string, { up: number; down: number }>()

  constructor(sources: MetricsSources) {
    this.#sources = sources
    this.#protocols = new Set(sources.routes.flatMap(namedTokens))
    this.#metrics = declareMetrics(this.#registry, {
      relay: sources.relay,
      endpoints: sources.endpoints,
      beforeTunnelsOpen: () => this.#beginTunnelsOpen(),
      beforeTunnelBytes: () => this.#sumBytes(),
    })
    for (const route of sources.routes) this.#beginRoute(route)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  async text(): Promise<string> {
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

  tunnelOpened(labels: TunnelLabels): void {
    this.#openCell(labels).value += 1
  }

  tunnelClosed(labels: TunnelLabels, end: TunnelEnd): void {
    const { route } = labels
    this.#openCell(labels).value -= 1
    this.#metrics.tunnelsClosed.at(route, end.by, end.reason).value += 1
    this.#secondsOf(route).tunnel.observe(end.durationMs / 1000)
    const bytes = this.#endedBytesOf(route)
    bytes.up += end.bytesUp
    bytes.down += end.bytesDown
  }

  #openCell({ route, upstream, endpoint, protocol }: TunnelLabels): Cell {
    return this.#metrics.tunnelsOpen.at(route, upstream, endpoint, this.#protocolLabel(protocol))
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

  #endedBytesOf(route: string): { up: number; down: number } {
    let bytes = this.#endedBytes.get(route)
    if (bytes === undefined) {
      bytes = { up: 0, down: 0 }
      this.#endedBytes.set(route, bytes)
    }
    return bytes
  }

  /** Series that alerts compare with begin at 0 and not at their first event, which `increase()` would miss. */
  #beginRoute(route: RouteConfig): void {
    this.#endedBytesOf(route.name)
    this.#metrics.tunnelsClosed.at(route.name, 'client', 'eof')
    this.#metrics.tunnelsClosed.at(route.name, 'upstream', 'eof')
    for (const token of namedTokens(route)) {
      this.#metrics.handshakes.at(route.name, route.upstream, token, 'ok')
    }
  }

  /** An endpoint without tunnels shows 0, not nothing. */
  #beginTunnelsOpen(): void {
    for (const { upstream, endpoint } of this.#sources.endpoints()) {
      for (const route of this.#sources.routes) {
        if (route.upstream !== upstream) continue
        for (const token of namedTokens(route)) {
          this.#metrics.tunnelsOpen.at(route.name, upstream, endpoint.url, token)
        }
      }
    }
  }

  #sumBytes(): void {
    const sums = new Map<string, { up: number; down: number }>()
    for (const [route, { up, down }] of this.#endedBytes) sums.set(route, { up, down })
    for (const { route, tunnel } of this.#sources.openTunnels()) {
      const sum = sums.get(route)
      if (sum === undefined) {
        sums.set(route, { up: tunnel.bytesUp, down: tunnel.bytesDown })
      } else {
        sum.up += tunnel.bytesUp
        sum.down += tunnel.bytesDown
      }
    }
    for (const [route, { up, down }] of sums) {
      raise(this.#metrics.tunnelBytes.at(route, 'up'), up)
      raise(this.#metrics.tunnelBytes.at(route, 'down'), down)
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
function raise(cell: Cell, value: number): void {
  if (value > cell.value) cell.value = value
}

function statusLabels(): ReadonlyMap<number, string> {
  const labels = new Map(Object.keys(STATUS_CODES).map((status) => [Number(status), status]))
  // For a client that has left; it is never sent.
  return labels.set(499, '499')
}
