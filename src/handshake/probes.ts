/**
 * Asks endpoints that refused connections, or could not be reached, by a bare connect every second: the first that
 * succeeds brings one back. Of those that broke off or were silent a connect tells nothing.
 */

import type { Endpoint } from '../balance/endpoint.ts'
import type { Pool } from '../balance/pool.ts'
import { Refusal } from '../errors.ts'
import { dial, type Dialing } from './dial.ts'

const PROBE_EVERY_MS = 1000

export class Probes {
  readonly #pools: () => Iterable<Pool>
  readonly #timer: NodeJS.Timeout
  readonly #running = new Map<Endpoint, Dialing>()

  /** `pools` are those in force, asked for anew at each turn. */
  constructor(pools: () => Iterable<Pool>) {
    this.#pools = pools
    this.#timer = setInterval(() => this.#askAll(), PROBE_EVERY_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
    for (const dialing of this.#running.values()) dialing.cancel()
  }

  #askAll(): void {
    for (const pool of this.#pools()) {
      for (const endpoint of pool.unreachable()) {
        if (!this.#running.has(endpoint)) this.#ask(pool, endpoint)
      }
    }
  }

  #ask(pool: Pool, endpoint: Endpoint): void {
    const onReached = pool.probe(endpoint)
    const { address, local } = endpoint
    const dialing = dial(
      { address, local, tls: undefined },
      { connectTimeoutMs: PROBE_EVERY_MS },
      (result) => {
        this.#running.delete(endpoint)
        if (result instanceof Refusal) return
        result.on('error', ignore).destroy()
        onReached()
      },
    )
    this.#running.set(endpoint, dialing)
  }
}

function ignore(): void {}
