/** Tells of clients that were turned away since a limit of their listener, or their share of it, is used up. */

import type { Report } from '../report/report.ts'
import type { Refused } from '../share.ts'
import type { Listener } from './listener.ts'
import { urlOf } from './url.ts'

export interface RefusalWatchOptions {
  readonly listeners: () => readonly Listener[]
  readonly report: Pick<Report, 'clientsRefused'>
}

interface Told {
  readonly full: number
  readonly share: number
  readonly atMs: number
}

const LOOK_MS = 1000
/** A line for each client would be a second way to take all there is of something. */
const TELL_MS = 60_000

export class RefusalWatch {
  readonly #options: RefusalWatchOptions
  readonly #timer: NodeJS.Timeout
  /** By the key of the config. */
  readonly #told = new WeakMap<Listener, Map<string, Told>>()

  constructor(options: RefusalWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    for (const listener of this.#options.listeners()) {
      this.#tell(listener, 'connections', listener.refused)
      this.#tell(listener, 'tls.handshakes', listener.tls.refused)
    }
  }

  #tell(listener: Listener, key: string, { full, share, address }: Refused): void {
    const byKey = this.#told.get(listener) ?? new Map<string, Told>()
    const told = byKey.get(key) ?? { full: 0, share: 0, atMs: -Infinity }
    const nowMs = performance.now()
    if ((full === told.full && share === told.share) || nowMs < told.atMs + TELL_MS) return
    this.#told.set(listener, byKey.set(key, { full, share, atMs: nowMs }))
    this.#options.report.clientsRefused({
      url: urlOf(listener.address, listener.config.tls),
      key,
      full: full - told.full,
      share: share - told.share,
      clientIp: address,
    })
  }
}
