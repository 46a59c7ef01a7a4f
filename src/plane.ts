/**
 * The data plane's parts, built from one configuration: everything that `upgrade.ts` and `plain.ts` look things up in.
 * A reload builds another one beside it; requests that have begun stay with theirs.
 */

import { Admission } from './admit/admission.ts'
import { compilePolicy, type Policy } from './auth/authorize.ts'
import { createChecks, type Checks, type ChecksOptions } from './auth/checks.ts'
import type { Endpoint } from './balance/endpoint.ts'
import { Pool } from './balance/pool.ts'
import type { Address, Config, ForwardedConfig, RouteConfig } from './config/config.ts'
import type { TunnelPolicy } from './relay/tunnel-policy.ts'
import { packBlocks } from './request/address-blocks.ts'
import { addressSet, type AddressSet } from './request/address-set.ts'
import { compileRoutes, type Route, type RouteTable } from './route/table.ts'
import { inSlices, type Work } from './slices.ts'

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
  /** By the identity of their route. */
  readonly admissions: Map<string, Admission>
}

interface CompiledRoutes {
  readonly table: RouteTable
  /** By identity. */
  readonly routes: ReadonlyMap<string, RouteParts>
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
  /** Some route lets clients upgrade to websocket. */
  readonly servesWebSocket: boolean
  readonly #admissions: Map<string, Admission>
  readonly #routes: ReadonlyMap<string, RouteParts>

  constructor(config: Config, parts: PlaneParts, { table, routes }: CompiledRoutes) {
    this.trusted = addressSet(config.trustedProxies)
    this.trustedBlocks = packBlocks(config.trustedProxies)
    this.forwarded = config.forwarded
    this.pseudonym = config.via ? parts.pseudonym : undefined
    this.table = table
    this.pools = parts.pools
    this.checks = parts.checks
    this.servesWebSocket = config.routes.some(
      ({ upgrade }) =>
        upgrade === 'any' || upgrade.some((token) => token.toLowerCase() === 'websocket'),
    )
    this.#admissions = parts.admissions
    this.#routes = routes
  }

  /** Also of routes that are gone, as long as tunnels of theirs are open: a route that comes back counts them. */
  get admissions(): ReadonlyMap<string, Admission> {
    return this.#admissions
  }

  /** The parts of a route that `table` matched. */
  partsOf(route: Route): RouteParts {
    const parts = this.#routes.get(route.config.identity)
    if (parts === undefined) throw new Error(`route ${route.config.name} is not of this plane`)
    return parts
  }

  /** The parts of the route that is the same as `route` of another config; undefined where it is gone. */
  partsLike({ identity }: RouteConfig): RouteParts | undefined {
    return this.#routes.get(identity)
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
    for (const [identity, admission] of previous.admissions) {
      if (admission.tunnels === 0 || this.#admissions.has(identity)) continue
      this.#admissions.set(identity, admission)
    }
    previous.checks.retire(this.checks)
  }

  /** Ends file watches and connections to auth servers, save those that `other` has too. */
  close(other?: Plane): void {
    this.checks.retire(other?.checks)
  }
}

export interface PlaneOptions extends ChecksOptions {
  /** The gateway's name in Via. */
  readonly pseudonym: string
  readonly builtinAddress: (name: 'echo') => Address
  readonly onEndpointChange: (upstream: string, endpoint: Endpoint, up: boolean) => void
}

/**
 * Rejects when a file that a check or an upstream needs cannot be read. What `previous` has counted goes on in the new one:
 * the tunnels of routes and endpoints, and how endpoints do. Until `replace` nothing changes for `previous`, and requests are
 * served under it meanwhile.
 */
export async function buildPlane(
  config: Config,
  options: PlaneOptions,
  previous?: Plane,
): Promise<Plane> {
  const checks = await createChecks(config.auth, options, previous?.checks)
  try {
    return await inSlices(planeOf(config, { options, checks, previous }))
  } catch (error) {
    checks.retire(previous?.checks)
    throw error
  }
}

interface Sources {
  readonly options: PlaneOptions
  readonly checks: Checks
  readonly previous: Plane | undefined
}

function* planeOf(config: Config, { options, checks, previous }: Sources): Work<Plane> {
  const { pseudonym, builtinAddress, onEndpointChange } = options
  const poolsBefore = new Map<string, Pool>()
  for (const pool of previous?.pools.values() ?? []) poolsBefore.set(pool.identity, pool)
  const pools = new Map<string, Pool>()
  for (const upstream of config.upstreams.values()) {
    const { name, identity } = upstream
    const onChange = (endpoint: Endpoint, up: boolean): void => onEndpointChange(name, endpoint, up)
    const pool = new Pool(upstream, { builtinAddress, onChange }, poolsBefore.get(identity))
    pools.set(name, pool)
    yield
  }
  const admissions = new Map<string, Admission>()
  const parts = { pseudonym, checks, pools, admissions }
  const routes = new Map<string, RouteParts>()
  for (const route of config.routes) {
    const { identity } = route
    admissions.set(identity, previous?.admissions.get(identity) ?? new Admission(route))
    routes.set(identity, routeParts(route, parts, config.relay.frames))
    yield
  }
  const table = yield* compileRoutes(config.routes)
  return new Plane(config, parts, { table, routes })
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
    admission: admissions.get(config.identity) as Admission,
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
