/** Every metric of the gateway with its help text, labels and buckets. They are public: dashboards and alerts name them. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { Series } from './series.ts'
import { version } from './version.ts'

const HANDSHAKE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** From 100 ms by 1 s, 5 s, 15 s, minutes and hours up to a day. */
const TUNNEL_BUCKETS = [0.1, 1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400]

export interface EndpointState {
  readonly upstream: string
  readonly endpoint: {
    readonly url: string
    readonly up: boolean
    /** It gets no new tunnels because an operator empties it. */
    readonly draining: boolean
    /** Of https endpoints: the handshakes of TLS that were completed so far. */
    readonly tls?:
      | { readonly handshakes: { readonly full: number; readonly resumed: number } }
      | undefined
    /** Of endpoints that are spoken to by HTTP/2: the connections that are open. */
    readonly http2?: { readonly connections: number } | undefined
  }
}

export interface ListenerState {
  /** Its address in the config. */
  readonly listener: string
  readonly certificates: readonly { readonly title: string; readonly expiresAtMs: number }[]
  /** Undefined for one that speaks no TLS, and never has. */
  readonly handshakes:
    | Readonly<Record<'full' | 'resumed' | 'failed' | 'refused', number>>
    | undefined
  /** Connections that found no place. */
  readonly refused: { readonly full: number; readonly share: number }
}

/** What is asked at each read. */
export interface ReadSources {
  /** Which relay moves the bytes, and why that one. */
  readonly relay: { readonly name: string; readonly why: string }
  readonly endpoints: () => Iterable<EndpointState>
  readonly listeners: () => Iterable<ListenerState>
}

export type DeclaredMetrics = ReturnType<typeof declareMetrics>

/** Returns the ones that events move; the others are read from `sources`. */
export function declareMetrics(registry: Registry, sources: ReadSources) {
  declareEndpoints(registry, sources)
  declareTlsHandshakes(registry, sources)
  declareHttp2Connections(registry, sources)
  declareListeners(registry, sources)
  declareRefused(registry, sources)
  declareBuildInfo(registry, sources)
  const registers = [registry]
  return {
    requests: Series.counter({
      name: 'upgate_requests_total',
      help: 'Requests answered, upgrades included, by status (101 for tunnels).',
      labelNames: ['route', 'status'],
      registry,
    }),
    handshakes: Series.counter({
      name: 'upgate_handshakes_total',
      help: 'Upgrade requests by result: ok, answered (the upstream gave another answer than 101), or the code of the refusal.',
      labelNames: ['route', 'upstream', 'protocol', 'result'],
      registry,
    }),
    handshakeSeconds: new Histogram({
      name: 'upgate_handshake_seconds',
      help: 'Time from an upgrade request to the answer that its upstream gave.',
      labelNames: ['route'],
      buckets: HANDSHAKE_BUCKETS,
      registers,
    }),
    tunnelsOpen: Series.gauge({
      name: 'upgate_tunnels_open',
      help: 'Tunnels that are open now.',
      labelNames: ['route', 'upstream', 'endpoint', 'protocol'],
      registry,
    }),
    tunnelSeconds: new Histogram({
      name: 'upgate_tunnel_seconds',
      help: 'How long tunnels that have ended were open.',
      labelNames: ['route'],
      buckets: TUNNEL_BUCKETS,
      registers,
    }),
    tunnelBytes: Series.counter({
      name: 'upgate_tunnel_bytes_total',
      help: 'Bytes through tunnels, open ones included; up is from the client to the upstream.',
      labelNames: ['route', 'direction'],
      registry,
    }),
    tunnelsClosed: Series.counter({
      name: 'upgate_tunnels_closed_total',
      help: 'Tunnels that have ended, by who ended them and why.',
      labelNames: ['route', 'by', 'reason'],
      registry,
    }),
    auth: Series.counter({
      name: 'upgate_auth_total',
      help: 'Checks of credentials: pass, deny, or error where the check could not be made.',
      labelNames: ['route', 'check', 'result'],
      registry,
    }),
    exhausted: Series.counter({
      name: 'upgate_descriptors_exhausted_total',
      help: 'How often there were no descriptors, or no memory, for a connection: of a request, of a client that waits to be accepted, or at a look each second.',
      labelNames: [],
      registry,
    }),
    ...declareWebSocket(registry),
    ...declareReloads(registry),
  }
}

/** Of tunnels whose frames are followed. */
function declareWebSocket(registry: Registry) {
  return {
    messages: Series.counter({
      name: 'upgate_websocket_messages_total',
      help: 'WebSocket messages and control frames through tunnels, open ones included; text and binary count whole messages.',
      labelNames: ['route', 'direction', 'type'],
      registry,
    }),
    closes: Series.counter({
      name: 'upgate_websocket_closes_total',
      help: 'WebSocket tunnels that have ended, by the sender and the code of the first Close frame; 1006 where there was none.',
      labelNames: ['route', 'by', 'code'],
      registry,
    }),
    blind: Series.counter({
      name: 'upgate_websocket_blind_total',
      help: 'WebSocket tunnels, open ones included, whose peer broke the protocol: what it sent afterwards was passed on and not counted.',
      labelNames: ['route', 'direction'],
      registry,
    }),
  }
}

function declareReloads(registry: Registry) {
  return {
    reloads: Series.counter({
      name: 'upgate_config_reloads_total',
      help: 'Reloads of the config: ok, one that changed nothing included, or failed where the old one stayed in use.',
      labelNames: ['result'],
      registry,
    }),
    lastReloadSeconds: Series.gauge({
      name: 'upgate_config_last_reload_timestamp_seconds',
      help: 'When the config in use was last read: at the start, or by a reload that succeeded.',
      labelNames: [],
      registry,
    }),
    lastReloadOk: Series.gauge({
      name: 'upgate_config_last_reload_successful',
      help: '1 when the last reload succeeded or there was none, 0 when it failed.',
      labelNames: [],
      registry,
    }),
  }
}

function declareEndpoints(registry: Registry, { endpoints }: ReadSources): void {
  const declare = (
    name: string,
    help: string,
    isSet: (endpoint: EndpointState['endpoint']) => boolean,
  ): void => {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['upstream', 'endpoint'],
      registers: [registry],
      collect: () => {
        gauge.reset()
        for (const { upstream, endpoint } of endpoints()) {
          gauge.set({ upstream, endpoint: endpoint.url }, isSet(endpoint) ? 1 : 0)
        }
      },
    })
  }
  declare(
    'upgate_endpoint_up',
    '1 for an endpoint that answers, 0 for one that failed and is set aside.',
    ({ up }) => up,
  )
  declare(
    'upgate_endpoint_draining',
    '1 for an endpoint that an operator empties: it gets no new tunnels.',
    ({ draining }) => draining,
  )
}

function declareTlsHandshakes(registry: Registry, { endpoints }: ReadSources): void {
  const counter = new Counter({
    name: 'upgate_upstream_tls_handshakes_total',
    help: 'Handshakes of TLS with https endpoints that were completed; resumed ones cost a fraction of the others.',
    labelNames: ['upstream', 'endpoint', 'resumed'],
    registers: [registry],
    collect: () => {
      counter.reset()
      for (const { upstream, endpoint } of endpoints()) {
        if (endpoint.tls === undefined) continue
        const { full, resumed } = endpoint.tls.handshakes
        counter.inc({ upstream, endpoint: endpoint.url, resumed: 'false' }, full)
        counter.inc({ upstream, endpoint: endpoint.url, resumed: 'true' }, resumed)
      }
    },
  })
}

function declareHttp2Connections(registry: Registry, { endpoints }: ReadSources): void {
  const gauge = new Gauge({
    name: 'upgate_upstream_http2_connections',
    help: 'Connections to endpoints that speak HTTP/2, which tunnels and requests share.',
    labelNames: ['upstream', 'endpoint'],
    registers: [registry],
    collect: () => {
      gauge.reset()
      for (const { upstream, endpoint } of endpoints()) {
        if (endpoint.http2 === undefined) continue
        gauge.set({ upstream, endpoint: endpoint.url }, endpoint.http2.connections)
      }
    },
  })
}

function declareListeners(registry: Registry, { listeners }: ReadSources): void {
  const expiry = new Gauge({
    name: 'upgate_certificate_expiry_timestamp_seconds',
    help: 'When a certificate of a listener expires, by the first name that it has; of several with one name the first to expire.',
    labelNames: ['listener', 'name'],
    registers: [registry],
    collect: () => {
      expiry.reset()
      for (const { listener, certificates } of listeners()) {
        const latestFirst = certificates.toSorted((a, b) => b.expiresAtMs - a.expiresAtMs)
        for (const { title: name, expiresAtMs } of latestFirst) {
          expiry.set({ listener, name }, expiresAtMs / 1000)
        }
      }
    },
  })
  const counter = new Counter({
    name: 'upgate_tls_handshakes_total',
    help: 'Handshakes of TLS with clients: full, resumed, failed, or refused since too many were in progress.',
    labelNames: ['listener', 'result'],
    registers: [registry],
    collect: () => {
      counter.reset()
      for (const { listener, handshakes } of listeners()) {
        for (const [result, count] of Object.entries(handshakes ?? {})) {
          counter.inc({ listener, result }, count)
        }
      }
    },
  })
}

function declareRefused(registry: Registry, { listeners }: ReadSources): void {
  const counter = new Counter({
    name: 'upgate_connections_refused_total',
    help: 'Connections of clients closed at once, since all that the listener may have were open (full), or an eighth of them of one address (share).',
    labelNames: ['listener', 'why'],
    registers: [registry],
    collect: () => {
      counter.reset()
      for (const { listener, refused } of listeners()) {
        counter.inc({ listener, why: 'full' }, refused.full)
        counter.inc({ listener, why: 'share' }, refused.share)
      }
    },
  })
}

function declareBuildInfo(registry: Registry, { relay }: ReadSources): void {
  const gauge = new Gauge({
    name: 'upgate_build_info',
    help: 'Always 1; the labels tell what is running.',
    labelNames: ['version', 'node', 'relay', 'why'],
    registers: [registry],
  })
  gauge.set({ version, node: process.versions.node, relay: relay.name, why: relay.why }, 1)
}
