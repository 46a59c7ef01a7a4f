/** Endpoints whose tunnels are being closed, until all are, or until the endpoint is wanted again. */

import type { Endpoint } from '../balance/endpoint.ts'
import { drainEndpoint, type EndpointDrain } from '../tunnels/drain.ts'
import type { Registry } from '../tunnels/registry.ts'

export class Drains {
  /** By the ids of the endpoints: those stay the same when the config changes. */
  readonly #running = new Map<string, EndpointDrain>()

  /** In place of the one that runs. Returns how many tunnels it closes. */
  start(registry: Registry, upstream: string, endpoint: Endpoint, overMs: number): number {
    const { id, url } = endpoint
    this.stop(id)
    const drain = drainEndpoint(registry, upstream, url, overMs)
    this.#running.set(id, drain)
    void drain.done.then(() => {
      if (this.#running.get(id) === drain) this.#running.delete(id)
    })
    return drain.of
  }

  /** Leaves the tunnels alone that were not told to end yet. */
  stop(id: string): void {
    this.#running.get(id)?.stop()
    this.#running.delete(id)
  }

  isClosing(id: string): boolean {
    return this.#running.has(id)
  }
}
