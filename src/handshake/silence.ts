/** A limit on how long nothing may happen. */

import { TIMER_MAX_MS } from '../timers.ts'

export class Silence {
  #timer: NodeJS.Timeout | undefined

  /** Calls `onTooLong` once nothing was heard for `ms`; `Infinity` for no limit. Replaces an earlier watch. */
  watch(ms: number, onTooLong: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = ms > TIMER_MAX_MS ? undefined : setTimeout(onTooLong, ms)
  }

  /** Something was heard. */
  touch(): void {
    this.#timer?.refresh()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
