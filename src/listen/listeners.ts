/** The addresses that the gateway listens on, and their change to those of another config. */

import { setTimeout } from 'node:timers/promises'
import { passedSockets, withPassedSockets } from './activation.ts'
import { formatAddress } from '../config/network.ts'
import type { ListenerConfig } from '../config/config.ts'
import type { ListenerState } from '../report/declared.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import type { ListenHandlers } from './handlers.ts'
import {
  startListener,
  type Listener,
  type ListenerChange,
  type ListenOptions,
} from './listener.ts'
import { checkTls } from './tls-side.ts'

/** A change that is made in one step, or not at all. */
export interface ListenersChange {
  /** Bound for the change; they accept clients already. */
  readonly added: readonly Listener[]
  readonly removed: readonly Listener[]
  /** Whose clients will be shown another certificate. */
  readonly newCertificates: readonly Listener[]
  /** Cannot fail. Removed listeners accept nobody from then on; what is in progress on them goes on. */
  apply(): void
  /** Closes what was bound. */
  cancel(): void
}

export class Listeners {
  readonly #options: ListenOptions
  readonly #handlers: ListenHandlers
  #current: readonly Listener[] = []
  /** Removed, and with connections that are still open. */
  readonly #removed = new Set<Listener>()

  constructor(options: ListenOptions, handlers: ListenHandlers) {
    this.#options = options
    this.#handlers = handlers
  }

  /** In the order of the config. */
  get current(): readonly Listener[] {
    return this.#current
  }

  /** What they show and count. */
  *states(): Iterable<ListenerState> {
    for (const { config, tls, refused } of this.#current) {
      const { certificates, handshakes } = tls
      yield { listener: formatAddress(config.address), certificates, handshakes, refused }
    }
  }

  /** Throws when a certificate of `configs` cannot be read. Nothing is bound. */
  check(configs: readonly ListenerConfig[]): Pick<ListenersChange, 'newCertificates'> {
    const { kept, added } = this.#match(configs)
    for (const { tls } of added) if (tls !== undefined) checkTls(tls)
    return { newCertificates: certificatesOf(kept) }
  }

  /**
   * Reads certificates and binds the addresses that are new. Rejects when a file cannot be read or an address cannot be
   * bound (with node's error); everything is as before then.
   */
  async prepare(configs: readonly ListenerConfig[]): Promise<ListenersChange> {
    const { kept, places, removed } = this.#match(configs)
    const added: Listener[] = []
    const next: Listener[] = []
    try {
      for (const place of places) {
        if ('listener' in place) {
          next.push(place.listener)
          continue
        }
        const listener = await startListener(place.config, this.#options, this.#handlers)
        added.push(listener)
        next.push(listener)
      }
    } catch (error) {
      for (const listener of added) listener.destroy()
      throw error
    }
    return {
      added,
      removed,
      newCertificates: certificatesOf(kept),
      apply: () => {
        for (const { change } of kept) change.apply()
        this.#current = next
        // Those that are new were bound under what was trusted before.
        for (const listener of added) listener.followTrust()
        for (const listener of removed) void this.#retire(listener)
      },
      cancel: () => {
        for (const listener of added) listener.destroy()
      },
    }
  }

  /** Fulfilled when no request is in progress. */
  async stopAccepting(): Promise<void> {
    await Promise.all([...this.#all()].map((listener) => listener.stopAccepting()))
  }

  destroy(): void {
    for (const listener of this.#all()) listener.destroy()
  }

  *#all(): Iterable<Listener> {
    yield* this.#current
    yield* this.#removed
  }

  async #retire(listener: Listener): Promise<void> {
    this.#removed.add(listener)
    await listener.stopAccepting()
    // Whoever has not sent a whole head may be known to the relay's engine alone. By then it has, or is gone.
    await setTimeout(Math.min(listener.config.headTimeoutMs, TIMER_MAX_MS), undefined, {
      ref: false,
    })
    await listener.empty()
    this.#removed.delete(listener)
    listener.destroy()
  }

  /** A listener goes on where the config has its address again. An address may stand there twice, with port 0. */
  #match(written: readonly ListenerConfig[]) {
    const configs = withPassedSockets(written, passedSockets())
    const left = [...this.#current]
    const kept: Kept[] = []
    const added: ListenerConfig[] = []
    const places = configs.map((config) => {
      const address = formatAddress(config.address)
      const index = left.findIndex((listener) => formatAddress(listener.config.address) === address)
      const [listener] = index === -1 ? [] : left.splice(index, 1)
      if (listener === undefined) {
        added.push(config)
        return { config }
      }
      kept.push({ listener, change: listener.prepare(config) })
      return { listener }
    })
    return { kept, added, places, removed: left }
  }
}

interface Kept {
  readonly listener: Listener
  readonly change: ListenerChange
}

function certificatesOf(kept: readonly Kept[]): readonly Listener[] {
  return kept.filter(({ change }) => change.newCertificate).map(({ listener }) => listener)
}
