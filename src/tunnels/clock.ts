/** Time, and timers that go by it. */

export interface Clock {
  /** Milliseconds since 1970. It may jump, both ways. */
  wallMs(): number
  /** Milliseconds that only ever grow. */
  uptimeMs(): number
  /** Calls back once, after so many milliseconds, unless the returned function is called before. Keeps no process alive. */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  uptimeMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms).unref()
    return () => clearTimeout(timer)
  },
}
