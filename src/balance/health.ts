/**
 * Passive health of one endpoint, from what requests tell of it. There are no timers and no probes: a time is compared
 * when somebody asks.
 *
 *        failed             setAsideMs over: one trial at a time
 *   up ----------> aside --------------------------------------> trial
 *    ^               ^                failed: twice as long       |  |
 *    |               +--------------------------------------------+  |
 *    +---------------------------------------------------------------+
 *                                 succeeded
 */

import type { UpstreamConfig } from '../config/config.ts'

/** Doubling further than this changes nothing: every maximum is reached before. */
const doublingsMax = 30

/** What requests have told of an endpoint. Times are milliseconds of one monotonic clock that the caller reads. */
export class Health {
  #failures = 0
  #asideMs = 0
  #backAtMs = 0
  #isTrialOut = false
  #epoch = 0

  /** False from a failure until the next success, also while trials are let through. */
  get up(): boolean {
    return this.#failures === 0
  }

  /** Changes with each failure and each recovery. What a request began under an earlier epoch is no news any more when it fails. */
  get epoch(): number {
    return this.#epoch
  }

  /** Whether a request may go there now. An endpoint that is set aside for no time at all is never kept out. */
  allows(nowMs: number): boolean {
    if (this.up || this.#asideMs === 0) return true
    return !this.#isTrialOut && nowMs >= this.#backAtMs
  }

  /** How long it stays set aside; 0 when it is not. */
  waitMs(nowMs: number): number {
    return this.up ? 0 : Math.max(0, this.#backAtMs - nowMs)
  }

  /** A request goes there. True when it is a trial: its end must be told by `succeeded`, `failed` or `endTrial`. */
  begin(): boolean {
    if (this.up) return false
    this.#isTrialOut = true
    return true
  }

  /** A trial ended without telling anything: the next one may come. */
  endTrial(): void {
    this.#isTrialOut = false
  }

  /** The endpoint accepted a connection. True when it was set aside until now. */
  succeeded(): boolean {
    if (this.up) return false
    this.#epoch += 1
    this.#failures = 0
    this.#isTrialOut = false
    return true
  }

  /**
   * A request that began under `epoch` failed. Of several that began together the first one counts, else a burst
   * would double the time again and again. True when the endpoint was up until now.
   */
  failed(epoch: number, nowMs: number, config: UpstreamConfig['health']): boolean {
    if (epoch !== this.#epoch) return false
    const wasUp = this.up
    const doublings = Math.min(this.#failures, doublingsMax)
    this.#epoch += 1
    this.#failures += 1
    this.#isTrialOut = false
    this.#asideMs = Math.min(config.setAsideMs * 2 ** doublings, config.setAsideMaxMs)
    this.#backAtMs = nowMs + this.#asideMs
    return wasUp
  }
}
