/** A clock that stands still until a test moves it. */

import type { Clock } from '../../src/tunnels/clock.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class FakeClock implements Clock {
  #wallMs: number
  #uptimeMs = 0
  readonly #timers = new Set<Timer>()

  constructor(wallMs: number) {
    this.#wallMs = wallMs
  }

  /** That have not called back yet. */
  get timers(): number {
    return this.#timers.size
  }

  wallMs(): number {
    return this.#wallMs
  }

  uptimeMs(): number {
    return this.#uptimeMs
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#uptimeMs + ms, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets time pass, and timers call back in their order. */
  pass(ms: number): void {
    const endMs = this.#uptimeMs + ms
    for (;;) {
      const [timer] = [...this.#timers]
        .filter(({ atMs }) => atMs <= endMs)
        .toSorted((one, other) => one.atMs - other.atMs)
      this.#moveTo(timer?.atMs ?? endMs)
      if (timer === undefined) return
      this.#timers.delete(timer)
      timer.callback()
    }
  }

  /** Sets the wall clock, forward or back, without letting time pass. */
  jump(ms: number): void {
    this.#wallMs += ms
  }

  #moveTo(uptimeMs: number): void {
    this.#wallMs += uptimeMs - this.#uptimeMs
    this.#uptimeMs = uptimeMs
  }
}
