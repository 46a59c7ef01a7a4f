/** The thread of `load-thread.ts`: it loads one config and posts it in parts, or its problems, and ends. */

import { workerData } from 'node:worker_threads'

import type { LoadPart, LoadTask } from './load-thread.ts'
import { loadConfig } from './load.ts'
import { ConfigError } from './problem.ts'

/** So many routes or upstreams the other thread takes in well below a millisecond. */
const PART_ENTRIES = 10

const { file, env, port } = workerData as LoadTask

function* partsOf(): Iterable<LoadPart> {
  const { routes, upstreams, ...rest } = loadConfig(file, env)
  yield { rest }
  for (let from = 0; from < routes.length; from += PART_ENTRIES) {
    yield { routes: routes.slice(from, from + PART_ENTRIES) }
  }
  const entries = [...upstreams.values()]
  for (let from = 0; from < entries.length; from += PART_ENTRIES) {
    yield { upstreams: entries.slice(from, from + PART_ENTRIES) }
  }
}

try {
  for (const part of partsOf()) port.postMessage(part)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  const { problems, more } = error
  port.postMessage({ problems, more } satisfies LoadPart)
}
