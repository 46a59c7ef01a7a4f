/** Reloads one after the other: whoever asks while one runs waits for its end, and those that wait for the same become one. */

import type { ReloadCause } from '../report/reported.ts'
import type { ReloadResult } from './result.ts'

export interface ReloadOptions {
  /** For the log. */
  readonly cause: ReloadCause
  /** Only says what would change. */
  readonly dryRun?: boolean
}

type Run = () => Promise<ReloadResult>

export class Reloads {
  #last: Promise<unknown> = Promise.resolve()
  /** Not begun yet: what it will read is newer than any of those who ask for it. */
  #nextReal: Promise<ReloadResult> | undefined
  #nextDry: Promise<ReloadResult> | undefined

  /** `run` must not reject. */
  run(run: Run): Promise<ReloadResult> {
    const result = this.#last.then(run)
    this.#last = result
    return result
  }

  /** A run that waits already serves this one as well. */
  runShared(dryRun: boolean, run: Run): Promise<ReloadResult> {
    return dryRun
      ? (this.#nextDry ??= this.run(() => {
          this.#nextDry = undefined
          return run()
        }))
      : (this.#nextReal ??= this.run(() => {
          this.#nextReal = undefined
          return run()
        }))
  }

  /** Fulfilled when none is under way. */
  async idle(): Promise<void> {
    let last: unknown
    while (last !== this.#last) {
      last = this.#last
      await last
    }
  }
}
