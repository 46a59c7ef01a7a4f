/**
 * Ends tunnels of the fullest endpoints, a few a second, so that their clients come back to others. Tunnels stay where they
 * are for hours: an endpoint that is new, or that was away, would get its share of them as late as that.
 *
 *     every second:   count -> who is above his share? -> end some -> remember that their clients are away
 *
 * Whoever is away is expected back for a while, and as long as many are, no more are ended. When many rounds have brought
 * the endpoints no nearer to each other, because clients come back to where they were or not at all, it pauses.
 */

import type { Endpoint } from '../balance/endpoint.ts'
import type { Pool } from '../balance/pool.ts'
import { closingsOf, excessOf, type Load } from '../balance/surplus.ts'
import type { RebalanceConfig, UpstreamConfig } from '../config/config.ts'
import type { RunningTunnel } from './tunnel.ts'

export interface RebalanceJob extends RebalanceConfig {
  readonly upstream: string
  /** Milliseconds since 1970. */
  readonly startedAtMs: number
  /** Tunnels told to end so far. */
  readonly closed: number
  /**
   * `done` when every endpoint has its share, `stopped` by an operator, by another job, by a config without the upstream, or
   * because it brought nothing. The config's own jobs are never done.
   */
  readonly state: 'running' | 'done' | 'stopped'
  stop(): void
}

export interface RebalancerOptions {
  /** Called once when rebalancing an upstream brings nothing: a job of the config pauses, another one is stopped. */
  readonly onStuck: (upstream: string) => void
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number
  /** Numbers in [0, 1). Default: `Math.random`. */
  readonly random?: () => number
}

/** There is nothing to rebalance; the message says why. */
export class NoRebalance extends Error {
  override readonly name = 'NoRebalance'
}

const LOOK_MS = 1000
/** A client that has not come back by then does not count any more. */
const AWAY_MS = 15_000
/** No more may be away than are closed in so many seconds. */
const AWAY_ROUNDS = 5
/** So many rounds have to bring something. */
const ROUNDS = 10
const PAUSE_MS = 60_000

/** The jobs of all upstreams, under one timer, which runs only while one of them does. */
export class Rebalancer {
  readonly #tunnels: Iterable<RunningTunnel>
  readonly #onStuck: (upstream: string) => void
  readonly #now: () => number
  readonly #random: () => number
  #upstreams: ReadonlyMap<string, UpstreamConfig> = new Map()
  #pools: ReadonlyMap<string, Pool> = new Map()
  /** Of the config. */
  readonly #own = new Map<string, Job>()
  /** Of operators: the last one of each upstream. While it runs the config's own waits. */
  readonly #asked = new Map<string, Job>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(tunnels: Iterable<RunningTunnel>, { onStuck, now, random }: RebalancerOptions) {
    this.#tunnels = tunnels
    this.#onStuck = onStuck
    this.#now = now ?? Date.now
    this.#random = random ?? Math.random
  }

  /**
   * Takes a config into use, and the pools that were built from it. Jobs go on with the endpoints that it has; those of the
   * config begin anew where they were stopped or are to run otherwise.
   */
  reconfigure(
    upstreams: ReadonlyMap<string, UpstreamConfig>,
    pools: ReadonlyMap<string, Pool>,
  ): void {
    const before = this.#upstreams
    this.#upstreams = upstreams
    this.#pools = pools
    for (const [upstream, job] of this.#asked) {
      // An upstream without a name may have the label of another one now.
      const isSame = before.get(upstream)?.identity === upstreams.get(upstream)?.identity
      if (!isSame || this.#whyNot(upstream) !== undefined) job.stop()
      if (!isSame) this.#asked.delete(upstream)
    }
    for (const [upstream, job] of this.#own) {
      if (this.#isAsConfigured(job)) continue
      job.stop()
      this.#own.delete(upstream)
    }
    for (const [upstream, { rebalance }] of upstreams) {
      if (rebalance === undefined || this.#own.has(upstream)) continue
      if (this.#whyNot(upstream) !== undefined) continue
      this.#own.set(upstream, new Job('gateway', upstream, rebalance, this.#now()))
    }
    this.#wind()
  }

  /** In place of the one that an operator has started before. Throws NoRebalance where tunnels of the upstream cannot be rebalanced. */
  start(upstream: string, options: RebalanceConfig): RebalanceJob {
    const why = this.#whyNot(upstream)
    if (why !== undefined) throw new NoRebalance(why)
    this.#asked.get(upstream)?.stop()
    const job = new Job('admin', upstream, options, this.#now())
    this.#asked.set(upstream, job)
    this.#wind()
    return job
  }

  /** The one that runs, or else the last one; undefined where none ever ran. */
  get(upstream: string): RebalanceJob | undefined {
    const asked = this.#asked.get(upstream)
    const own = this.#own.get(upstream)
    return asked === undefined || (asked.state !== 'running' && own?.state === 'running')
      ? own
      : asked
  }

  /** Stops what runs for an upstream; the config's own job until the next config. False where none runs. */
  stop(upstream: string): boolean {
    const running = [this.#asked.get(upstream), this.#own.get(upstream)].filter(isRunning)
    for (const job of running) job.stop()
    this.#wind()
    return running.length > 0
  }

  /** Ends all jobs; no others follow. */
  close(): void {
    this.#isClosed = true
    for (const job of [...this.#own.values(), ...this.#asked.values()]) job.stop()
    this.#wind()
  }

  #whyNot(upstream: string): string | undefined {
    if (this.#isClosed) return 'the gateway is shutting down'
    const config = this.#upstreams.get(upstream)
    if (config === undefined) return `there is no upstream ${upstream}`
    if (config.balance.policy !== 'hash') return undefined
    return `upstream ${upstream} balances by hash: its clients would come back to where they were`
  }

  #isAsConfigured(job: Job): boolean {
    const config = this.#upstreams.get(job.upstream)
    return (
      job.state === 'running' &&
      this.#whyNot(job.upstream) === undefined &&
      config?.rebalance?.rate === job.rate &&
      config.rebalance.spread === job.spread
    )
  }

  /** The timer runs while a job does. */
  #wind(): void {
    const isNeeded = [...this.#own.values(), ...this.#asked.values()].some(isRunning)
    if (isNeeded) this.#timer ??= setInterval(this.#look, LOOK_MS)
    else {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  readonly #look = (): void => {
    const nowMs = this.#now()
    const closings = new Map<string, Closing>()
    for (const round of this.#count()) {
      const { job, loads } = round
      for (const [index, count] of job.closings(round, nowMs).entries()) {
        const { id } = loads[index] as CountedLoad
        if (count > 0) closings.set(id, { by: job.by, count, tunnels: [] })
      }
      if (job.isStuck) this.#onStuck(job.upstream)
    }
    if (closings.size > 0) this.#close(closings)
    this.#wind()
  }

  /** The loads of the endpoints that can take tunnels, for each job that is due. */
  #count(): readonly Round[] {
    const rounds: Round[] = []
    const byEndpoint = new Map<string, { readonly round: Round; readonly load: CountedLoad }>()
    for (const [upstream, pool] of this.#pools) {
      const job = [this.#asked.get(upstream), this.#own.get(upstream)].find(isRunning)
      if (job === undefined) continue
      const loads = pool.endpoints.filter(takesPart).map(emptyLoad)
      const round = { job, loads, arrived: 0 }
      rounds.push(round)
      for (const load of loads) byEndpoint.set(load.id, { round, load })
    }
    for (const tunnel of this.#tunnels) {
      const counted = byEndpoint.get(tunnel.endpoint.id)
      if (counted === undefined || tunnel.isEnding) continue
      const { round, load } = counted
      load.open += 1
      if (tunnel.openedAtMs > round.job.lookedAtMs) round.arrived += 1
    }
    return rounds
  }

  /** By the ids of endpoints. */
  #close(closings: ReadonlyMap<string, Closing>): void {
    for (const tunnel of this.#tunnels) {
      if (!tunnel.isEnding) closings.get(tunnel.endpoint.id)?.tunnels.push(tunnel)
    }
    for (const { by, count, tunnels } of closings.values()) {
      for (let closed = 0; closed < count; closed += 1) {
        const index = Math.floor(this.#random() * tunnels.length)
        const drawn = tunnels[index] as RunningTunnel
        const last = tunnels.pop() as RunningTunnel
        if (index < tunnels.length) tunnels[index] = last
        drawn.end(by, 'rebalance')
      }
    }
  }
}

/** What an endpoint is to lose. */
interface Closing {
  readonly by: 'gateway' | 'admin'
  readonly count: number
  /** Those to draw from. */
  readonly tunnels: RunningTunnel[]
}

interface CountedLoad extends Load {
  readonly id: string
  open: number
}

/** What a job has before it when it looks. */
interface Round {
  readonly job: Job
  readonly loads: readonly CountedLoad[]
  /** Tunnels opened since it looked last. */
  arrived: number
}

class Job implements RebalanceJob {
  readonly by: 'gateway' | 'admin'
  readonly upstream: string
  readonly rate: number
  readonly spread: number
  readonly startedAtMs: number
  closed = 0
  state: RebalanceJob['state'] = 'running'
  /** It has just found that it brings nothing, and nobody was told yet. */
  isStuck = false
  lookedAtMs: number
  /** How many were told to end when, as far as they are expected back; the oldest first. */
  #away: { readonly atMs: number; count: number }[] = []
  /** The excess before each of the last rounds in which tunnels were ended. */
  #excesses: number[] = []
  #pausedUntilMs = 0
  #isTold = false

  constructor(
    by: 'gateway' | 'admin',
    upstream: string,
    { rate, spread }: RebalanceConfig,
    nowMs: number,
  ) {
    this.by = by
    this.upstream = upstream
    this.rate = rate
    this.spread = spread
    this.startedAtMs = nowMs
    this.lookedAtMs = nowMs
  }

  stop(): void {
    if (this.state === 'running') this.state = 'stopped'
  }

  /** How many tunnels of each load are to be ended now, nothing for none; they count as ended. */
  closings({ loads, arrived }: Round, nowMs: number): readonly number[] {
    this.isStuck = false
    this.lookedAtMs = nowMs
    const away = this.#stillAway(arrived, nowMs)
    const awayMax = this.rate * AWAY_ROUNDS
    if (away >= awayMax || nowMs < this.#pausedUntilMs) return []
    const closingsMax = Math.min(this.rate, awayMax - away)
    const closings = closingsOf(loads, { spread: this.spread, away, closingsMax })
    if (closings.every((count) => count === 0)) this.#restOn(away)
    else if (this.#bringsSomething(excessOf(loads))) return this.#ended(closings, nowMs)
    else this.#pause(nowMs)
    return []
  }

  /** Everybody has his share, if those come back who are away. */
  #restOn(away: number): void {
    this.#excesses = []
    this.#isTold = false
    if (away === 0 && this.by === 'admin') this.state = 'done'
  }

  #ended(closings: readonly number[], nowMs: number): readonly number[] {
    const count = closings.reduce((sum, one) => sum + one, 0)
    this.closed += count
    this.#away.push({ atMs: nowMs, count })
    return closings
  }

  /** Whoever comes is taken for one of those who are away: that is all that can be known. */
  #stillAway(arrived: number, nowMs: number): number {
    let back = arrived
    let count = 0
    for (const away of this.#away) {
      const returned = Math.min(back, away.count)
      away.count -= returned
      back -= returned
      count += away.atMs > nowMs - AWAY_MS ? away.count : 0
    }
    this.#away = this.#away.filter((away) => away.count > 0 && away.atMs > nowMs - AWAY_MS)
    return count
  }

  #bringsSomething(excess: number): boolean {
    this.#excesses.push(excess)
    if (this.#excesses.length <= ROUNDS) return true
    const before = this.#excesses.shift() as number
    if (excess >= before) return false
    this.#isTold = false
    return true
  }

  #pause(nowMs: number): void {
    this.#excesses = []
    this.#pausedUntilMs = nowMs + PAUSE_MS
    this.isStuck = !this.#isTold
    this.#isTold = true
    if (this.by === 'admin') this.state = 'stopped'
  }
}

function isRunning(job: Job | undefined): job is Job {
  return job?.state === 'running'
}

function takesPart({ up, draining }: Endpoint): boolean {
  return up && !draining
}

function emptyLoad({ id, weight }: Endpoint): CountedLoad {
  return { id, weight, open: 0 }
}
