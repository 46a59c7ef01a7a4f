/**
 * Lets each client do so much at a time; what it does beyond waits for its own turns, in their order, and holds up nobody else.
 * Clients are counted only while something of theirs goes on.
 */

export class Turns {
  readonly #max: number
  readonly #running = new Map<string, number>()
  readonly #waiting = new Map<string, Set<() => void>>()

  /** `max`: turns of one client at a time. */
  constructor(max: number) {
    this.#max = max
  }

  /** Fulfilled with what ends the turn when it comes; with undefined when it has not come in `timeoutMs`. */
  take(client: string, timeoutMs: number): Promise<(() => void) | undefined> {
    const running = this.#running.get(client) ?? 0
    if (running < this.#max) {
      this.#running.set(client, running + 1)
      return Promise.resolve(this.#endOf(client))
    }
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(client) ?? new Set()
      const leave = (): void => {
        clearTimeout(timer)
        waiting.delete(begin)
        if (waiting.size === 0) this.#waiting.delete(client)
      }
      const begin = (): void => {
        leave()
        resolve(this.#endOf(client))
      }
      const timer = setTimeout(() => {
        leave()
        resolve(undefined)
      }, timeoutMs)
      this.#waiting.set(client, waiting.add(begin))
    })
  }

  /** A second call does nothing. */
  #endOf(client: string): () => void {
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const [next] = this.#waiting.get(client) ?? []
      if (next !== undefined) {
        next()
        return
      }
      const running = (this.#running.get(client) ?? 0) - 1
      if (running > 0) this.#running.set(client, running)
      else this.#running.delete(client)
    }
  }
}
