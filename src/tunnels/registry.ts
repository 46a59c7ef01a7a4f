/** The open tunnels. node's servers forget a socket once it is upgraded, so this is where shutdown, reload, operators and metrics find them. */

import type { RunningTunnel } from './tunnel.ts'

export class Registry {
  readonly #open = new Set<RunningTunnel>()
  readonly #whenEmpty: (() => void)[] = []

  get size(): number {
    return this.#open.size
  }

  /** Iterates without a copy, in the order in which they were opened. */
  [Symbol.iterator](): IterableIterator<RunningTunnel> {
    return this.#open.values()
  }

  add(open: RunningTunnel): void {
    this.#open.add(open)
  }

  delete(open: RunningTunnel): void {
    this.#open.delete(open)
    if (this.#open.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  /** Fulfilled when no tunnel is open; at once when none is. */
  empty(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenEmpty.push(resolve))
  }
}
