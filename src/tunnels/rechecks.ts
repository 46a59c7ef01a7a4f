/**
 * Asks authorization servers again about open tunnels:
 *
 *   due      once in each interval, at a random moment of its last quarter, so that tunnels that were opened together do not
 *            ask together
 *   unknown  asked again after 1 s, 2 s, 4 s, ... as long as the interval lasts; then the tunnel is kept or closed
 *
 * Each server gets a few questions at a time; the others wait in a line.
 */

import type { Giver, Grant, Recheck, Standing } from '../auth/grant.ts'
import type { Clock } from './clock.ts'
import { DueList } from './due-list.ts'

export interface RecheckOptions<Tunnel> {
  readonly clock: Clock
  /** Numbers in [0, 1). */
  readonly random: () => number
  /** The server has said that the tunnel may not stay, or could not say anything where that closes it. */
  readonly onEnded: (tunnel: Tunnel) => void
  /** The server could not be asked in a whole interval. Called for the first tunnel in a row, not for each. */
  readonly onFailed: (tunnel: Tunnel, grant: Grant, cause: string) => void
}

/** To one server. */
const QUESTIONS_MAX = 16

const FIRST_PAUSE_MS = 1000

/** The part of an interval over which questions are spread. */
const SPREAD = 1 / 4

interface Watched<Tunnel> {
  readonly tunnel: Tunnel
  readonly grant: Grant
  readonly recheck: Recheck
  /** Of uptime, when it is asked next. */
  second: number
  /** Since when an answer is due; undefined while none is. */
  sinceMs: number | undefined
  pauseMs: number
}

/** The questions to one server. */
interface Line<Tunnel> {
  asking: number
  readonly waiting: Set<Watched<Tunnel>>
  /** Why the last question could not be answered; undefined when it was. */
  failure: string | undefined
  /** `onFailed` knows of the failures since the last answer. */
  isTold: boolean
}

export class Rechecks<Tunnel> {
  readonly #options: RecheckOptions<Tunnel>
  readonly #watched = new Map<Grant, Watched<Tunnel>>()
  readonly #due = new DueList<Watched<Tunnel>>()
  readonly #lines = new WeakMap<Giver, Line<Tunnel>>()
  #tickedAtMs = 0

  constructor(options: RecheckOptions<Tunnel>) {
    this.#options = options
  }

  /** `tick` has nothing to do. */
  get isEmpty(): boolean {
    return this.#watched.size === 0
  }

  /** Begins an interval, unless the grant is in one. */
  add(tunnel: Tunnel, grant: Grant): void {
    const { recheck } = grant
    if (recheck === undefined || this.#watched.has(grant)) return
    const watched: Watched<Tunnel> = {
      tunnel,
      grant,
      recheck,
      second: 0,
      sinceMs: undefined,
      pauseMs: FIRST_PAUSE_MS,
    }
    this.#watched.set(grant, watched)
    this.#beginInterval(watched)
  }

  /** The answer to a question that is under way is not heard. */
  delete(grant: Grant): void {
    const watched = this.#watched.get(grant)
    if (watched === undefined) return
    this.#watched.delete(grant)
    this.#due.delete(watched.second, watched)
    this.#lines.get(grant.giver)?.waiting.delete(watched)
  }

  clear(): void {
    for (const grant of this.#watched.keys()) this.delete(grant)
  }

  /** Asks what is due; to be called once a second. */
  tick(): void {
    const nowMs = this.#options.clock.uptimeMs()
    this.#tickedAtMs = nowMs
    for (const watched of this.#due.take(Math.floor(nowMs / 1000))) {
      watched.sinceMs ??= nowMs
      const line = this.#lineOf(watched.grant.giver)
      line.waiting.add(watched)
      this.#askNext(line)
    }
  }

  #lineOf(giver: Giver): Line<Tunnel> {
    const known = this.#lines.get(giver)
    if (known !== undefined) return known
    const line: Line<Tunnel> = {
      asking: 0,
      waiting: new Set(),
      failure: undefined,
      isTold: false,
    }
    this.#lines.set(giver, line)
    return line
  }

  #askNext(line: Line<Tunnel>): void {
    for (const watched of line.waiting) {
      if (line.asking >= QUESTIONS_MAX) return
      line.waiting.delete(watched)
      // Else a server that lets every question time out would be waited for by the whole line.
      if (line.failure !== undefined && this.#isOver(watched, 0)) {
        this.#giveUp(watched, line, line.failure)
      } else void this.#ask(watched, line)
    }
  }

  async #ask(watched: Watched<Tunnel>, line: Line<Tunnel>): Promise<void> {
    line.asking += 1
    const standing = await watched.recheck.ask()
    line.asking -= 1
    line.failure = standing.is === 'unknown' ? standing.cause : undefined
    line.isTold &&= standing.is === 'unknown'
    if (this.#watched.get(watched.grant) === watched) this.#settle(watched, line, standing)
    this.#askNext(line)
  }

  #settle(watched: Watched<Tunnel>, line: Line<Tunnel>, standing: Standing): void {
    if (standing.is === 'unknown') this.#tryLater(watched, line, standing.cause)
    else if (standing.is === 'ended') this.#end(watched)
    else this.#beginInterval(watched)
  }

  #tryLater(watched: Watched<Tunnel>, line: Line<Tunnel>, cause: string): void {
    const { pauseMs } = watched
    if (this.#isOver(watched, pauseMs)) {
      this.#giveUp(watched, line, cause)
      return
    }
    watched.pauseMs *= 2
    // The nearest tick: with the one after it a short interval would be over before it was asked again.
    const sinceTickMs = this.#options.clock.uptimeMs() - this.#tickedAtMs
    const ticks = Math.round((sinceTickMs + pauseMs) / 1000)
    this.#schedule(watched, Math.floor(this.#tickedAtMs / 1000) + ticks)
  }

  /** Whether no answer can be had within the interval, when nobody asks before `pauseMs` have passed. */
  #isOver({ sinceMs, recheck }: Watched<Tunnel>, pauseMs: number): boolean {
    const nowMs = this.#options.clock.uptimeMs()
    return nowMs + pauseMs > (sinceMs ?? nowMs) + recheck.everyMs
  }

  #giveUp(watched: Watched<Tunnel>, line: Line<Tunnel>, cause: string): void {
    if (!line.isTold) this.#options.onFailed(watched.tunnel, watched.grant, cause)
    line.isTold = true
    if (watched.recheck.onError === 'close') this.#end(watched)
    else this.#beginInterval(watched)
  }

  #end({ tunnel, grant }: Watched<Tunnel>): void {
    this.#watched.delete(grant)
    this.#options.onEnded(tunnel)
  }

  #beginInterval(watched: Watched<Tunnel>): void {
    watched.sinceMs = undefined
    watched.pauseMs = FIRST_PAUSE_MS
    const pauseMs = watched.recheck.everyMs * (1 - SPREAD * this.#options.random())
    this.#schedule(watched, Math.ceil((this.#options.clock.uptimeMs() + pauseMs) / 1000))
  }

  #schedule(watched: Watched<Tunnel>, second: number): void {
    watched.second = second
    this.#due.add(second, watched)
  }
}
