/** A limit on how long nothing may happen. */

/** Above it `setTimeout` fires at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

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
