/**
 * The clock of all tunnels: one interval timer for the whole process lets them look at their byte counters now and then,
 * so that limits and pings cost nothing per packet and no timer per tunnel. What a tunnel has to do after some time is
 * late by two periods at most: one until the last byte is noticed, and one until the time is. A period is a sixteenth of
 * the shortest time watched, at least 10 ms and at most half a second.
 */

const PERIOD_MIN_MS = 10
const PERIOD_MAX_MS = 500
const PERIODS = 16

/** What the sweep needs of a tunnel. */
export interface Swept {
  /** Of all times that it has to keep, in milliseconds; `Infinity` for none. */
  readonly shortestMs: number
  /** `nowMs` is of `performance.now()`. */
  look(nowMs: number): void
}

export class Sweep {
  readonly #watched = new Set<Swept>()
  #periodMs = PERIOD_MAX_MS
  #timer: NodeJS.Timeout | undefined

  /** Starts to watch a tunnel. The first one starts the timer. */
  watch(swept: Swept): void {
    this.#watched.add(swept)
    const wantedMs = swept.shortestMs / PERIODS
    if (wantedMs < this.#periodMs || this.#timer === undefined) {
      this.#arm(Math.max(PERIOD_MIN_MS, Math.min(this.#periodMs, wantedMs)))
    }
  }

  /** Ends the watch. The last one stops the timer. */
  unwatch(swept: Swept): void {
    this.#watched.delete(swept)
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#periodMs = PERIOD_MAX_MS
  }

  #arm(periodMs: number): void {
    clearInterval(this.#timer)
    this.#periodMs = periodMs
    // Where the process was busy for long, what has come meanwhile is read first: a peer that has answered is not dead.
    this.#timer = setInterval(setImmediate, periodMs, this.#look)
  }

  readonly #look = (): void => {
    const nowMs = performance.now()
    for (const swept of this.#watched) swept.look(nowMs)
  }
}
