/**
 * The data plane's parts, built from one configuration: everything that `upgrade.ts` and `plain.ts` look things up in.
 * A reload builds another one beside it; requests that have begun stay with theirs.
 */

import { Admission } from './admit/admission.ts'
import { compilePolicy, type Policy } from './auth/authorize.ts'
import { createChecks, type Checks } from './auth/checks.ts'
import type { Endpoint } from './balance/endpoint.ts'
import { Pool } from './balance/pool.ts'
import type { Address, Config, ForwardedConfig, RouteConfig } from './config/config.ts'
import type { Logger } from './report/logger.ts'
import type { TunnelPolicy } from './relay/tunnel-policy.ts'
import { packBlocks } from './request/address-blocks.ts'
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

interface PlaneParts {
  readonly pseudonym: string
  readonly checks: Checks
  readonly pools: ReadonlyMap<string, Pool>
  /** By the name of their route. */
  readonly admissions: ReadonlyMap<string, Admission>
}

export class Plane {
  readonly trusted: AddressSet
  readonly trustedBlocks: Uint8Array
  readonly forwarded: ForwardedConfig | undefined
  /** The gateway's name in Via; undefined where it writes none. */
  readonly pseudonym: string | undefined
  readonly table: RouteTable
  readonly pools: ReadonlyMap<string, Pool>
  readonly checks: Checks
  /** Also of routes that are gone, as long as tunnels of theirs are open: a route that comes back counts them. */
  readonly admissions: ReadonlyMap<string, Admission>
  /** Some route lets clients upgrade to websocket. */
  readonly servesWebSocket: boolean
  readonly #routes: ReadonlyMap<string, RouteParts>

  constructor(config: Config, parts: PlaneParts) {
    this.trusted = addressSet(config.trustedProxies)
    this.trustedBlocks = packBlocks(config.trustedProxies)
    this.forwarded = config.forwarded
    this.pseudonym = config.via ? parts.pseudonym : undefined
    this.table = compileRoutes(config.routes)
    this.pools = parts.pools
    this.checks = parts.checks
    this.servesWebSocket = config.routes.some(
      ({ upgrade }) =>
        upgrade === 'any' || upgrade.some((token) => token.toLowerCase() === 'websocket'),
    )
    this.admissions = parts.admissions
    this.#routes = new Map(
      config.routes.map((route) => [route.name, routeParts(route, parts, config.relay.frames)]),
    )
  }

  /** The parts of a route that `table` matched. */
  partsOf(route: Route): RouteParts {
    const parts = this.#routes.get(route.config.name)
    if (parts === undefined) throw new Error(`route ${route.config.name} is not of this plane`)
    return parts
  }

  partsNamed(route: string): RouteParts | undefined {
    return this.#routes.get(route)
  }

  *endpoints(): Iterable<{ readonly upstream: string; readonly endpoint: Endpoint }> {
    for (const [upstream, pool] of this.pools) {
      for (const endpoint of pool.endpoints) yield { upstream, endpoint }
    }
  }

  /**
   * Takes the place of `previous`: its limits hold from now on, and what only `previous` needs is closed. Requests that have
   * begun under it may end there: a check that is closed still answers.
   */
  replace(previous: Plane): void {
    for (const { admission, config } of this.#routes.values()) admission.reconfigure(config.limits)
    previous.checks.retire(this.checks)
  }

  /** Ends file watches and connections to auth servers, save those that `other` has too. */
  close(other?: Plane): void {
    this.checks.retire(other?.checks)
  }
}

export interface PlaneOptions {
  readonly log: Logger
  /** The gateway's name in Via. */
  readonly pseudonym: string
  readonly builtinAddress: (name: 'echo') => Address
  readonly onEndpointChange: (upstream: string, endpoint: Endpoint, up: boolean) => void
}

/**
 * Rejects when a file that a check or an upstream needs cannot be read. What `previous` has counted goes on in the new one:
 * the tunnels of routes and endpoints, and how endpoints do. Until `replace` nothing changes for `previous`.
 */
export async function buildPlane(
  config: Config,
  options: PlaneOptions,
  previous?: Plane,
): Promise<Plane> {
  const checks = await createChecks(config.auth, options.log, previous?.checks)
  try {
    const pools = new Map<string, Pool>()
    for (const upstream of config.upstreams.values()) {
      const poolOptions = {
        builtinAddress: options.builtinAddress,
        onChange: (endpoint: Endpoint, up: boolean) =>
          options.onEndpointChange(upstream.name, endpoint, up),
      }
      const pool = new Pool(upstream, poolOptions, previous?.pools.get(upstream.name))
      pools.set(upstream.name, pool)
    }
    const admissions = admissionsFor(config, previous)
    return new Plane(config, { pseudonym: options.pseudonym, checks, pools, admissions })
  } catch (error) {
    checks.retire(previous?.checks)
    throw error
  }
}

function admissionsFor({ routes }: Config, previous?: Plane): ReadonlyMap<string, Admission> {
  const known = [...(previous?.admissions ?? [])]
  const admissions = new Map(known.filter(([, { tunnels }]) => tunnels > 0))
  for (const route of routes) {
    const admission = previous?.admissions.get(route.name) ?? new Admission(route)
    admissions.set(route.name, admission)
  }
  return admissions
}

function routeParts(
  config: RouteConfig,
  { checks, pools, admissions }: PlaneParts,
  followsFrames: boolean,
): RouteParts {
  const pool = pools.get(config.upstream)
  if (pool === undefined) throw new Error(`route ${config.name} has no upstream`)
  const bytesPolicy = tunnelPolicy(config)
  return {
    config,
    policy: compilePolicy(config, checks),
    admission: admissions.get(config.name) as Admission,
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
