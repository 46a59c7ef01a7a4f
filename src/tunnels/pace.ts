/**
 * Ends tunnels evenly over a time and in random order, so that their clients do not come back all at once. One timer
 * serves them all:
 *
 *   credit   grows with time; each tunnel told to end costs 1
 *   rate     what is left by the time that is left, within the limit
 *
 * Time in which the process stood still is lost, and tunnels that end by themselves only slow it down: nothing is made up
 * for in a burst.
 */

export interface Paced {
  /** It was told to end, or has ended. */
  readonly isEnding: boolean
}

export interface PaceProgress {
  /** Not told to end yet, and still open. */
  readonly left: number
  /** All that there were to end, those that ended by themselves included. */
  readonly of: number
}

export interface PaceOptions<T> {
  /** Milliseconds from the first to the last; 0 for all at once. */
  readonly overMs: number
  /** Makes `isEnding` true. */
  readonly end: (tunnel: T) => void
  /** Called at the start and every five seconds from then on; never when there is nothing to end. */
  readonly onProgress?: (progress: PaceProgress) => void
  /** Aborted: no further tunnel is told to end, and the pace is over. */
  readonly signal?: AbortSignal
  /** A monotonic clock in milliseconds. Default: `performance.now`. */
  readonly now?: () => number
  /** Numbers in [0, 1). Default: `Math.random`. */
  readonly random?: () => number
}

/** More often than that nobody looks at the clock: what is due meanwhile ends together. */
const TICK_MS = 10
/** A timer that is later than this has not been late: the time was not there. */
const LATE_MAX_MS = 100
/** How often `tunnels` are looked through for those that have gone and those that have come. */
const SURVEY_MS = 1000
const PROGRESS_MS = 5000

/**
 * Fulfilled when each was told to end, or when `signal` is aborted. `tunnels` are iterated again every second: what it has
 * not any more is left out, and what is new joins in. In no second more than `of / overMs * 1000`, rounded up, and one end.
 */
export function pace<T extends Paced>(
  tunnels: Iterable<T>,
  options: PaceOptions<T>,
): Promise<void> {
  return new Promise((resolve) => {
    new Pace(tunnels, options, resolve).start()
  })
}

class Pace<T extends Paced> {
  readonly #tunnels: Iterable<T>
  readonly #options: PaceOptions<T>
  readonly #onOver: () => void
  readonly #now: () => number
  readonly #random: () => number
  readonly #startMs: number
  /** In no order; some may have ended since they were surveyed. */
  #left: T[] = []
  #of = 0
  /** The first one goes at once. */
  #credit = 1
  #countedToMs: number
  #nextStepMs: number
  #surveyAtMs: number
  #progressAtMs: number
  /** How many were told to end when, in the last second. */
  readonly #recent: { readonly atMs: number; count: number }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(tunnels: Iterable<T>, options: PaceOptions<T>, onOver: () => void) {
    this.#tunnels = tunnels
    this.#options = options
    this.#onOver = onOver
    this.#now = options.now ?? monotonicMs
    this.#random = options.random ?? Math.random
    this.#startMs = this.#now()
    this.#countedToMs = this.#startMs
    this.#nextStepMs = this.#startMs
    this.#surveyAtMs = this.#startMs
    this.#progressAtMs = this.#startMs
  }

  start(): void {
    const { signal } = this.#options
    if (signal?.aborted === true) return this.#onOver()
    signal?.addEventListener('abort', this.#stop, { once: true })
    this.#step()
  }

  readonly #stop = (): void => {
    clearTimeout(this.#timer)
    this.#options.signal?.removeEventListener('abort', this.#stop)
    this.#onOver()
  }

  readonly #step = (): void => {
    const nowMs = this.#now()
    if (nowMs >= this.#surveyAtMs) this.#survey(nowMs)
    if (nowMs >= this.#progressAtMs) this.#tell(nowMs)
    this.#earn(nowMs)
    this.#spend(nowMs)
    if (this.#left.length === 0) this.#survey(nowMs)
    if (this.#left.length === 0) return this.#stop()
    const dueMs = Math.max(TICK_MS, (1 - this.#credit) / this.#rate(nowMs))
    const waitMs = Math.ceil(Math.min(dueMs, Math.max(TICK_MS, this.#surveyAtMs - nowMs)))
    this.#nextStepMs = nowMs + waitMs
    this.#timer = setTimeout(this.#step, waitMs)
  }

  #survey(nowMs: number): void {
    const before = this.#left.filter(isOpen).length
    this.#left = [...this.#tunnels].filter(isOpen)
    this.#of += Math.max(0, this.#left.length - before)
    this.#surveyAtMs = nowMs + SURVEY_MS
  }

  #tell(nowMs: number): void {
    this.#progressAtMs = nowMs + PROGRESS_MS
    const left = this.#left.length
    if (left > 0) this.#options.onProgress?.({ left, of: this.#of })
  }

  /** Tunnels a millisecond, from this time on. */
  #rate(nowMs: number): number {
    const { overMs } = this.#options
    const leftMs = this.#startMs + overMs - nowMs
    const rateMax = this.#limit() / 1000
    // What is earned already is as good as gone. The last one goes an interval before the end, as the first went at once.
    const left = this.#left.length + 1 - this.#credit
    return leftMs > 0 ? Math.min(rateMax, left / leftMs) : rateMax
  }

  #earn(nowMs: number): void {
    if (this.#options.overMs === 0) {
      this.#credit = Infinity
      return
    }
    const lostMs = Math.max(0, nowMs - this.#nextStepMs - LATE_MAX_MS)
    const earned = (nowMs - this.#countedToMs - lostMs) * this.#rate(this.#countedToMs)
    this.#countedToMs = nowMs
    // What the limit has held back does not pile up.
    const creditMax = 1 + (this.#of / this.#options.overMs) * LATE_MAX_MS
    this.#credit = Math.min(creditMax, this.#credit + earned)
  }

  #spend(nowMs: number): void {
    let allowance = this.#allowance(nowMs)
    const recent = { atMs: nowMs, count: 0 }
    while (this.#credit >= 1 && allowance >= 1 && this.#left.length > 0) {
      const tunnel = this.#draw()
      this.#credit -= 1
      // Its place stays empty: the others are not ended earlier for it.
      if (tunnel.isEnding) continue
      allowance -= 1
      recent.count += 1
      this.#options.end(tunnel)
    }
    if (recent.count > 0) this.#recent.push(recent)
  }

  /** How many may end now for the second behind us to keep to the limit. */
  #allowance(nowMs: number): number {
    while (this.#recent[0] !== undefined && this.#recent[0].atMs <= nowMs - 1000) {
      this.#recent.shift()
    }
    return this.#recent.reduce((left, { count }) => left - count, this.#limit())
  }

  /** In a second. */
  #limit(): number {
    return Math.ceil((this.#of / this.#options.overMs) * 1000) + 1
  }

  #draw(): T {
    const index = Math.floor(this.#random() * this.#left.length)
    const drawn = this.#left[index] as T
    const last = this.#left.pop() as T
    if (index < this.#left.length) this.#left[index] = last
    return drawn
  }
}

function isOpen(tunnel: Paced): boolean {
  return !tunnel.isEnding
}

function monotonicMs(): number {
  return performance.now()
}
