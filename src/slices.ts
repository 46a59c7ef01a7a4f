/**
 * Long work in slices, between which the event loop turns: requests wait for a slice, and not for all of the work. Work is a
 * generator that yields wherever it may be interrupted.
 */

import { setImmediate } from 'node:timers/promises'

export type Work<Result> = Generator<undefined, Result, undefined>

/** A request that passes the gateway takes some ten turns of the event loop, each of which may wait for a slice. */
export const SLICE_MS = 1

export interface SliceOptions {
  /** A monotonic clock in milliseconds. Default: `performance.now`. */
  readonly now?: () => number
  /** Lets the event loop turn. */
  readonly turn?: () => Promise<unknown>
}

/** Does the work slice by slice. Rejects with what it throws. */
export async function inSlices<Result>(
  work: Work<Result>,
  { now = monotonicMs, turn = setImmediate }: SliceOptions = {},
): Promise<Result> {
  for (;;) {
    const untilMs = now() + SLICE_MS
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (now() < untilMs)
    await turn()
  }
}

/** Does all of the work now. */
export function atOnce<Result>(work: Work<Result>): Result {
  let step = work.next()
  while (step.done !== true) step = work.next()
  return step.value
}

function monotonicMs(): number {
  return performance.now()
}
