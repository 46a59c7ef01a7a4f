/** What is due when, by whole seconds: things of the same second share one place, and none has a timer of its own. */

export class DueList<Item> {
  readonly #bySecond = new Map<number, Set<Item>>()
  /** Up to here, this second included, everything was taken. */
  #takenTo = -Infinity

  get isEmpty(): boolean {
    return this.#bySecond.size === 0
  }

  add(second: number, item: Item): void {
    const items = this.#bySecond.get(second)
    if (items !== undefined) {
      items.add(item)
      return
    }
    this.#bySecond.set(second, new Set([item]))
    if (second <= this.#takenTo) this.#takenTo = -Infinity
  }

  /** Does nothing when it is not there. */
  delete(second: number, item: Item): void {
    const items = this.#bySecond.get(second)
    if (items?.delete(item) === true && items.size === 0) this.#bySecond.delete(second)
  }

  /** Takes out what is due at `second`, and what was due before. */
  take(second: number): Item[] {
    // From one second to the next there is one place to look at; after a jump there may be any.
    const seconds =
      second === this.#takenTo + 1
        ? [second]
        : [...this.#bySecond.keys()].filter((due) => due <= second)
    this.#takenTo = second
    return seconds.flatMap((due) => {
      const items = this.#bySecond.get(due) ?? []
      this.#bySecond.delete(due)
      return [...items]
    })
  }
}
