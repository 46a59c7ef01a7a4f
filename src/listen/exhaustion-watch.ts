/**
 * Tells of clients that cannot be accepted for want of descriptors or memory. The relay's engine counts them; Node's own
 * sockets are closed by libuv without a word, so that whether there are descriptors is tried as well.
 */

import { missingNow } from '../exhausted.ts'
import type { Report } from '../report/report.ts'
import type { Listener } from './listener.ts'
import { urlOf } from './url.ts'

export interface ExhaustionWatchOptions {
  readonly listeners: () => readonly Listener[]
  readonly report: Pick<Report, 'exhausted'>
}

const LOOK_MS = 1000

export class ExhaustionWatch {
  readonly #options: ExhaustionWatchOptions
  readonly #timer: NodeJS.Timeout
  readonly #told = new WeakMap<Listener, number>()

  constructor(options: ExhaustionWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { listeners, report } = this.#options
    for (const listener of listeners()) {
      const { starved, address, config } = listener
      const times = starved - (this.#told.get(listener) ?? 0)
      if (times === 0) continue
      this.#told.set(listener, starved)
      report.exhausted(`accept at ${urlOf(address, config.tls)}`, times)
    }
    const code = missingNow()
    if (code !== undefined) report.exhausted(code)
  }
}
