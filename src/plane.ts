/**
 * The data plane's parts, built from one configuration: everything that `upgrade.ts` and `plain.ts` look things up in.
 * A reload builds another one beside it; requests that have begun stay with theirs.
 */

import { Admission } from './admit/admission.ts'
import { compilePolicy, type Policy } from './auth/authorize.ts'
import { createChecks } from './auth/checks.ts'
import type { Check } from './auth/identity.ts'
import type { Endpoint } from './balance/endpoint.ts'
import { Pool } from './balance/pool.ts'
import type { Address, Config, RouteConfig } from './config/config.ts'
import type { Logger } from './report/logger.ts'
import type { TunnelPolicy } from './relay/tunnel-policy.ts'
import { addressSet, type AddressSet } from './request/address-set.ts'
import { compileRoutes, type Route, type RouteTable } from './route/table.ts'

/** What a route's requests go through after the match. */
export interface RouteParts {
  readonly config: RouteConfig
  readonly policy: Policy
  readonly admission: Admission
  readonly pool: Pool
  /** Of tunnels that speak WebSocket, and of all others. */
  readonly webSocketPolicy: TunnelPolicy
  readonly bytesPolicy: TunnelPolicy
}

export class Plane {
  readonly trusted: AddressSet
  readonly table: RouteTable
  readonly pools: ReadonlyMap<string, Pool>
  readonly #checks: ReadonlyMap<string, Check>
  readonly #routes: ReadonlyMap<RouteConfig, RouteParts>

  constructor(
    config: Config,
    checks: ReadonlyMap<string, Check>,
    pools: ReadonlyMap<string, Pool>,
  ) {
    this.trusted = addressSet(config.trustedProxies)
    this.table = compileRoutes(config.routes)
    this.pools = pools
    this.#checks = checks
    this.#routes = new Map(config.routes.map((route) => [route, routeParts(route, checks, pools, config.relay.frames)]))
  }

  /** The parts of a route that `table` matched. */
  partsOf(route: Route): RouteParts {
    const parts = this.#routes.get(route.config)
    if (parts === undefined) throw new Error(`route ${route.config.name} is not of this plane`)
    return parts
  }

  *endpoints(): Iterable<{ readonly upstream: string; readonly endpoint: Endpoint }> {
    for (const [upstream, pool] of this.pools) {
      for (const endpoint of pool.endpoints) yield { upstream, endpoint }
    }
  }

  /** Ends file watches and connections to auth servers. */
  close(): void {
    for (const check of this.#checks.values()) check.close()
  }
}

export interface PlaneOptions {
  readonly log: Logger
  readonly builtinAddress: (name: 'echo') => Address
  readonly onEndpointChange: (upstream: string, endpoint: Endpoint, up: boolean) => void
}

/** Rejects when a file that a check needs cannot be read. */
export async function buildPlane(config: Config, options: PlaneOptions): Promise<Plane> {
  const checks = await createChecks(config.auth, options.log)
  const pools = new Map<string, Pool>()
  for (const upstream of config.upstreams.values()) {
    const pool = new Pool(upstream, {
      builtinAddress: options.builtinAddress,
      onChange: (endpoint, up) => options.onEndpointChange(upstream.name, endpoint, up),
    })
    pools.set(upstream.name, pool)
  }
  return new Plane(config, checks, pools)
}

function routeParts(
  config: RouteConfig,
  checks: ReadonlyMap<string, Check>,
  pools: ReadonlyMap<string, Pool>,
  followsFrames: boolean,
): RouteParts {
  const pool = pools.get(config.upstream)
  if (pool === undefined) throw new Error(`route ${config.name} has no upstream`)
  const bytesPolicy = tunnelPolicy(config)
  return {
    config,
    policy: compilePolicy(config, checks),
    admission: new Admission(config),
    pool,
    bytesPolicy,
    webSocketPolicy: Object.freeze({ ...bytesPolicy, frames: followsFrames }),
  }
}

function tunnelPolicy({ timeouts, keepalive, close }: RouteConfig): TunnelPolicy {
  return Object.freeze({
    idleMs: timeouts.idleMs,
    lifetimeMs: timeouts.lifetimeMs,
    frames: false,
    keepalive,
    closeFrames: close.frames,
    closeTimeoutMs: close.timeoutMs,
  })
}
