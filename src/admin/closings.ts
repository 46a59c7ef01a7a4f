/** Tunnels that operators have closed over a time, from the call to the last of them. They outlive a reload and the address of the API. */

import type { Endpoint } from '../balance/endpoint.ts'
import type { DrainReport } from '../report/reported.ts'
import { drainEndpoint, type EndpointDrain } from '../tunnels/drain.ts'
import { pace } from '../tunnels/pace.ts'
import type { Registry } from '../tunnels/registry.ts'
import type { RunningTunnel } from '../tunnels/tunnel.ts'

export class Closings {
  readonly #onProgress: ((drain: DrainReport) => void) | undefined
  #over = new AbortController()
  /** By the ids of the endpoints, which stay the same when the config changes. */
  readonly #drains = new Map<string, EndpointDrain>()

  /** `onProgress` is called when the drain of an endpoint begins, and every five seconds from then on. */
  constructor(onProgress?: (drain: DrainReport) => void) {
    this.#onProgress = onProgress
  }

  /** Ends these, and no others, evenly over a time. */
  start(
    tunnels: readonly RunningTunnel[],
    overMs: number,
    end: (tunnel: RunningTunnel) => void,
  ): void {
    void pace(tunnels, { overMs, end, signal: this.#over.signal })
  }

  /** Ends those of an endpoint, in place of a drain of it that runs. Returns how many there are. */
  drain(registry: Registry, upstream: string, endpoint: Endpoint, overMs: number): number {
    const { id, url } = endpoint
    this.stopDrain(id)
    const place = { upstream, endpoint: url }
    const drain = drainEndpoint(registry, {
      ...place,
      overMs,
      onProgress: (progress) => this.#onProgress?.({ reason: 'drain', ...place, ...progress }),
    })
    this.#drains.set(id, drain)
    void drain.done.then(() => {
      if (this.#drains.get(id) === drain) this.#drains.delete(id)
    })
    return drain.of
  }

  /** Leaves those alone that were not told to end yet. */
  stopDrain(id: string): void {
    this.#drains.get(id)?.stop()
    this.#drains.delete(id)
  }

  isDraining(id: string): boolean {
    return this.#drains.has(id)
  }

  /** Leaves all alone that were not told to end yet. Others may be asked for after it: an operator need not wait for the end of a drain. */
  stop(): void {
    this.#over.abort()
    this.#over = new AbortController()
    for (const id of this.#drains.keys()) this.stopDrain(id)
  }
}
