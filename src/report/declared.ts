/** Every metric of the gateway with its help text, labels and buckets. They are public: dashboards and alerts name them. */

import { Gauge, Histogram, type Registry } from 'prom-client'
import { Series } from './series.ts'
import { version } from './version.ts'

const HANDSHAKE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** From 100 ms by 1 s, 5 s, 15 s, minutes and hours up to a day. */
const TUNNEL_BUCKETS = [0.1, 1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400]

export interface EndpointState {
  readonly upstream: string
  readonly endpoint: { readonly url: string; readonly up: boolean }
}

/** What is asked at each read. */
export interface ReadSources {
  /** Which relay moves the bytes, and why that one. */
  readonly relay: { readonly name: string; readonly why: string }
  readonly endpoints: () => Iterable<EndpointState>
  /** Bring the values of these two up to date. */
  readonly beforeTunnelsOpen: () => void
  readonly beforeTunnelBytes: () => void
}

export type DeclaredMetrics = ReturnType<typeof declareMetrics>

/** Returns the ones that events move; the others are read from `sources`. */
export function declareMetrics(registry: Registry, sources: ReadSources) {
  declareEndpointUp(registry, sources)
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
      refresh: sources.beforeTunnelsOpen,
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
      refresh: sources.beforeTunnelBytes,
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
  }
}

function declareEndpointUp(registry: Registry, { endpoints }: ReadSources): void {
  const gauge = new Gauge({
    name: 'upgate_endpoint_up',
    help: '1 for an endpoint that gets tunnels, 0 for one that is set aside.',
    labelNames: ['upstream', 'endpoint'],
    registers: [registry],
    collect: () => {
      gauge.reset()
      for (const { upstream, endpoint } of endpoints()) {
        gauge.set({ upstream, endpoint: endpoint.url }, endpoint.up ? 1 : 0)
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
