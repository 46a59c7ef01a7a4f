/** Why a config was not taken, in words for the log and for who asked. */

import { describeStartFailure } from '../cli/start-failure.ts'
import type { Config } from '../config/config.ts'
import { ConfigError, formatProblem, moreLines } from '../config/problem.ts'

/** A line for each problem, some with a picture below it. `next` is the config that was to be taken, where it could be read. */
export function problemsOf(error: unknown, next: Config | undefined): readonly string[] {
  if (error instanceof ConfigError) {
    return [...error.problems.map(formatProblem), ...moreLines(error.more, 'problem')]
  }
  if (next === undefined) return [error instanceof Error ? error.message : String(error)]
  return describeStartFailure(error, next).split('\n')
}
