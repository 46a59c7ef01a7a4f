/**
 * The limits of one route: how many tunnels in all and per client, how many upgrades and plain requests a second per
 * client. It counts, it does not queue: what is over a limit is refused at once, with Retry-After.
 */

import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { RateLimiterRes } from 'rate-limiter-flexible'
import type { LimitsConfig, RouteConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import { clientKey } from '../request/client-key.ts'

/** A tunnel's place within the limits of its route, held until the tunnel ends. Disposing of it twice is harmless. */
export type Lease = Disposable

/** Tunnels end when their users leave, so no time is known; this one keeps clients from hammering. */
const fullRetryAfterSeconds = 5

/** Admits the requests of one route. It outlives a reload of the config, so that open tunnels stay counted. */
export class Admission {
  #limits: LimitsConfig
  readonly #tunnels = new TunnelCounts()
  #handshakeRate: RateLimiterMemory | undefined
  #requestRate: RateLimiterMemory | undefined

  constructor(route: RouteConfig) {
    this.#limits = route.limits
    this.reconfigure(route.limits)
  }

  /** Leases that are out. */
  get tunnels(): number {
    return this.#tunnels.total
  }

  /** Clients with at least one lease. */
  get clients(): number {
    return this.#tunnels.byClient.size
  }

  /** Takes over the limits of a new config. Counts stay; tunnels above a lowered limit stay open. */
  reconfigure(limits: LimitsConfig): void {
    this.#limits = limits
    this.#handshakeRate = limiterFor(limits.handshakesPerSecond, this.#handshakeRate)
    this.#requestRate = limiterFor(limits.requestsPerSecond, this.#requestRate)
  }

  /** A place for a tunnel of this client, asked for before its handshake. Refusals: E_ROUTE_FULL, E_CLIENT_FULL; nothing is held after one. */
  admitTunnel(clientIp: string): Lease | Refusal {
    return this.#takeTunnel(clientKey(clientIp))
  }

  /**
   * Whether this client may ask for an upgrade now: before its credentials are looked at, so that guesses are slow. Synchronous
   * unless `handshakesPerSecond` is set. Refusal: E_RATE_LIMIT.
   */
  admitHandshake(clientIp: string): Refusal | undefined | Promise<Refusal | undefined> {
    if (this.#handshakeRate === undefined) return undefined
    return withinRate(this.#handshakeRate, clientKey(clientIp))
  }

  /** Likewise for a plain request, and `requestsPerSecond`. */
  admitRequest(clientIp: string): Refusal | undefined | Promise<Refusal | undefined> {
    if (this.#requestRate === undefined) return undefined
    return withinRate(this.#requestRate, clientKey(clientIp))
  }

  #takeTunnel(key: string): Lease | Refusal {
    const { tunnels, tunnelsPerClient } = this.#limits
    if (this.#tunnels.total >= tunnels) {
      return new Refusal('E_ROUTE_FULL', {
        cause: `${this.#tunnels.total} tunnels of ${tunnels} are in use`,
        retryAfterSeconds: fullRetryAfterSeconds,
      })
    }
    const held = this.#tunnels.byClient.get(key) ?? 0
    if (held >= tunnelsPerClient) {
      return new Refusal('E_CLIENT_FULL', {
        cause: `the client has ${held} tunnels of ${tunnelsPerClient}`,
        retryAfterSeconds: fullRetryAfterSeconds,
      })
    }
    return new TunnelLease(this.#tunnels, key)
  }
}

/** Open tunnels in all and by client. A client without tunnels has no entry, so memory follows the open tunnels. */
class TunnelCounts {
  total = 0
  readonly byClient = new Map<string, number>()

  take(key: string): void {
    this.total += 1
    this.byClient.set(key, (this.byClient.get(key) ?? 0) + 1)
  }

  giveBack(key: string): void {
    this.total -= 1
    const left = (this.byClient.get(key) ?? 0) - 1
    if (left > 0) this.byClient.set(key, left)
    else this.byClient.delete(key)
  }
}

class TunnelLease implements Disposable {
  readonly #counts: TunnelCounts
  readonly #key: string
  #isHeld = true

  constructor(counts: TunnelCounts, key: string) {
    this.#counts = counts
    this.#key = key
    counts.take(key)
  }

  [Symbol.dispose](): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#counts.giveBack(this.#key)
  }
}

/** One second's window per client; the previous limiter is kept, with what it has counted, when it only changes its size. */
function limiterFor(
  perSecond: number,
  previous: RateLimiterMemory | undefined,
): RateLimiterMemory | undefined {
  if (perSecond === Number.POSITIVE_INFINITY) return undefined
  if (previous === undefined) {
    return new RateLimiterMemory({ keyPrefix: '', points: perSecond, duration: 1 })
  }
  previous.points = perSecond
  return previous
}

function withinRate(rate: RateLimiterMemory, key: string): Promise<Refusal | undefined> {
  return rate.consume(key).then(admitted, refusedByRate)
}

function admitted(): undefined {}

/** RateLimiterMemory rejects for one cause alone: the points of this window are spent. */
function refusedByRate(result: RateLimiterRes): Refusal {
  return new Refusal('E_RATE_LIMIT', {
    cause: `${result.consumedPoints} in one second`,
    retryAfterSeconds: Math.max(1, Math.ceil(result.msBeforeNext / 1000)),
  })
}
