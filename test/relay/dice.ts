/** Random choices that a number decides. */

/** A small generator of pseudo-random numbers (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to below 1. */
  roll(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** From 0 to `below - 1`. */
  count(below: number): number {
    return Math.floor(this.roll() * below)
  }

  chance(probability: number): boolean {
    return this.roll() < probability
  }

  of<T>(list: readonly T[]): T {
    return list[this.count(list.length)] as T
  }

  /** From 1 to `max`, each order of magnitude as likely as the others. */
  size(max: number): number {
    return Math.max(1, Math.floor(max ** this.roll()))
  }
}
