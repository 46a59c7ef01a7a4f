/** The life of the process around a gateway: start, serve, reload at SIGHUP, drain at the first other signal, leave at the second. */

import { constants } from 'node:os'

import type { Config } from '../config/config.ts'
import { describeStartFailure } from './start-failure.ts'

/** What ends the process: nginx's and HAProxy's signals for a graceful end among them. */
export const endSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGUSR2'] as const
export type Signal = (typeof endSignals)[number]

/** What the process offers. */
export interface Host {
  onSignal(handle: (signal: Signal) => void): void
  /** SIGHUP, which must not end the process. */
  onReload(handle: () => void): void
  /** One message for the operator. */
  tell(message: string): void
  exit(code: number): void
}

export interface Served {
  /** Reads the config again. Never rejects: what comes of it is told elsewhere. */
  reload(): void
  /** Drains; resolves when nothing is left. */
  stop(): Promise<void>
}

/** Resolves when the gateway serves, or when starting has failed and the process was told to exit. */
export async function run(
  config: Config,
  start: (config: Config) => Promise<Served>,
  host: Host,
): Promise<void> {
  let stopping = false
  let serving: Served | undefined
  // Until the gateway is there it has nothing to reload: the config has just been read.
  host.onReload(() => serving?.reload())
  const started = start(config)
  const stop = async (): Promise<void> => {
    try {
      const gateway = await started
      await gateway.stop()
      host.exit(0)
    } catch (error) {
      host.tell(describeStartFailure(error, config))
      host.exit(1)
    }
  }
  host.onSignal((signal) => {
    // The shell's convention for a process that a signal has ended.
    if (stopping) return host.exit(128 + constants.signals[signal])
    stopping = true
    void stop()
  })
  try {
    serving = await started
  } catch (error) {
    if (stopping) return
    host.tell(describeStartFailure(error, config))
    host.exit(1)
  }
}
