/** How much of something a client may do: a stock that fills up again with time. */

export class Budget {
  readonly #most: number
  readonly #perSecond: number
  #left: number
  #atMs = performance.now()

  constructor(most: number, perSecond: number) {
    this.#most = most
    this.#perSecond = perSecond
    this.#left = most
  }

  /** Takes one; false when there is none left. */
  take(nowMs = performance.now()): boolean {
    const filled = this.#left + ((nowMs - this.#atMs) / 1000) * this.#perSecond
    this.#left = Math.min(this.#most, filled) - 1
    this.#atMs = nowMs
    return this.#left >= 0
  }
}
