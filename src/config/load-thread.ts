/**
 * Loads a config while requests are served: a thread of its own reads and checks the file, and what it has made is taken over in
 * slices.
 */

import { extname } from 'node:path'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'

import { inSlices } from '../slices.ts'
import type { Work } from '../slices.ts'
import type { Config, RouteConfig, UpstreamConfig } from './config.ts'
import type { Environment } from './environment.ts'
import { deepFreeze } from './freeze.ts'
import { ConfigError } from './problem.ts'
import type { Problem } from './problem.ts'

/** What the thread is given. */
export interface LoadTask {
  readonly file: string
  readonly env: Environment
  readonly port: MessagePort
}

/** What it posts: a config in parts, or problems. */
export type LoadPart =
  | { readonly rest: Omit<Config, 'routes' | 'upstreams'> }
  | { readonly routes: readonly RouteConfig[] }
  | { readonly upstreams: readonly UpstreamConfig[] }
  | { readonly problems: readonly Problem[]; readonly more: number }

/** As `loadConfig`: rejects with a `ConfigError` that has all problems; or when `signal` is aborted, or no thread can be had. */
export async function loadConfigInThread(
  file: string,
  env: Environment,
  signal?: AbortSignal,
): Promise<Config> {
  signal?.throwIfAborted()
  const { port1, port2 } = new MessageChannel()
  try {
    await runThread({ file, env: { ...env }, port: port2 }, signal)
    return await inSlices(takeOver(port1))
  } finally {
    port1.close()
  }
}

/** Fulfilled when the thread has ended; what it has posted waits at the other end of the port. */
async function runThread(task: LoadTask, signal: AbortSignal | undefined): Promise<void> {
  // The program runs from its sources or built.
  const url = new URL(`./load-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(url, { workerData: task, transferList: [task.port] })
  const abort = (): void => void worker.terminate()
  signal?.addEventListener('abort', abort)
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('error', reject)
      worker.once('exit', () => resolve())
    })
  } finally {
    signal?.removeEventListener('abort', abort)
  }
  signal?.throwIfAborted()
}

function* takeOver(port: MessagePort): Work<Config> {
  let rest: Omit<Config, 'routes' | 'upstreams'> | undefined
  const routes: RouteConfig[] = []
  const upstreams = new Map<string, UpstreamConfig>()
  for (let part = nextOf(port); part !== undefined; part = nextOf(port)) {
    if ('problems' in part) throw new ConfigError(part.problems, part.more)
    if ('rest' in part) rest = deepFreeze(part.rest)
    else if ('routes' in part) routes.push(...deepFreeze(part.routes))
    else for (const each of deepFreeze(part.upstreams)) upstreams.set(each.name, each)
    yield
  }
  if (rest === undefined) throw new Error('the thread that reads the config has ended early')
  return deepFreeze({ ...rest, routes, upstreams })
}

function nextOf(port: MessagePort): LoadPart | undefined {
  return receiveMessageOnPort(port)?.message
}
