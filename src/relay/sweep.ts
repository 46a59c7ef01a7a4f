/**
 * The clock of all tunnels: one interval timer for the whole process looks at byte counters now and then, so that idle
 * and lifetime limits cost nothing per packet and no timer per tunnel. A limit is kept to within one period, which is
 * an eighth of the shortest limit watched, at least 10 ms and at most one second.
 */

const PERIOD_MIN_MS = 10
const PERIOD_MAX_MS = 1000

/** What the sweep needs of a tunnel. */
export interface Swept {
  readonly bytesUp: number
  readonly bytesDown: number
  /** Milliseconds without a byte in either direction; `Infinity` for no limit. */
  readonly idleMs: number
  /** Milliseconds from `watch`; `Infinity` for no limit. */
  readonly lifetimeMs: number
  expire(reason: 'idle' | 'lifetime'): void
}

interface Watch {
  bytes: number
  movedAtMs: number
  readonly bornAtMs: number
}

export class Sweep {
  readonly #watched = new Map<Swept, Watch>()
  #periodMs = PERIOD_MAX_MS
  #timer: NodeJS.Timeout | undefined

  /** Starts to watch a tunnel. The first one starts the timer. */
  watch(swept: Swept): void {
    const nowMs = performance.now()
    this.#watched.set(swept, {
      bytes: swept.bytesUp + swept.bytesDown,
      movedAtMs: nowMs,
      bornAtMs: nowMs,
    })
    const wantedMs = Math.min(swept.idleMs, swept.lifetimeMs) / 8
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
    this.#timer = setInterval(this.#look, periodMs)
  }

  readonly #look = (): void => {
    const nowMs = performance.now()
    for (const [swept, watch] of this.#watched) {
      const bytes = swept.bytesUp + swept.bytesDown
      if (nowMs - watch.bornAtMs >= swept.lifetimeMs) {
        swept.expire('lifetime')
      } else if (bytes !== watch.bytes) {
        watch.bytes = bytes
        watch.movedAtMs = nowMs
      } else if (nowMs - watch.movedAtMs >= swept.idleMs) {
        swept.expire('idle')
      }
    }
  }
}
