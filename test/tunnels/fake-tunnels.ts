/** Tunnels that do nothing but tell how they were ended. */

import type { Endpoint } from '../../src/balance/endpoint.ts'
import type { OwnReason } from '../../src/relay/tunnel-policy.ts'
import { Registry } from '../../src/tunnels/registry.ts'
import type { RunningTunnel } from '../../src/tunnels/tunnel.ts'

export interface FakeTunnel {
  readonly parts: { readonly pool: { readonly name: string } }
  readonly endpoint: Pick<Endpoint, 'id' | 'url'>
  readonly openedAtMs: number
  isEnding: boolean
  /** By whom and why it was told to end, and when. */
  told: { readonly by: string; readonly reason: OwnReason; readonly atMs: number } | undefined
  end(by: string, reason: OwnReason): void
}

/** A registry of them. */
export class FakeTunnels {
  readonly registry = new Registry()
  /** All that ever were, in the order in which they were opened. */
  readonly all: FakeTunnel[] = []

  /** `onEnd` is called when it is told to end; it is open until `gone`. */
  open(
    upstream: string,
    endpoint: Pick<Endpoint, 'id' | 'url'>,
    onEnd: (tunnel: FakeTunnel) => void = () => {},
  ): FakeTunnel {
    const tunnel: FakeTunnel = {
      parts: { pool: { name: upstream } },
      endpoint,
      openedAtMs: Date.now(),
      isEnding: false,
      told: undefined,
      end(by, reason) {
        if (tunnel.told !== undefined) throw new Error('it was told to end already')
        if (tunnel.isEnding) throw new Error('it has ended already')
        tunnel.isEnding = true
        tunnel.told = { by, reason, atMs: Date.now() }
        onEnd(tunnel)
      },
    }
    this.all.push(tunnel)
    this.registry.add(tunnel as unknown as RunningTunnel)
    return tunnel
  }

  openMany(count: number, upstream: string, endpoint: Pick<Endpoint, 'id' | 'url'>): FakeTunnel[] {
    return Array.from({ length: count }, () => this.open(upstream, endpoint))
  }

  /** It has ended, be it by itself. */
  gone(tunnel: FakeTunnel): void {
    tunnel.isEnding = true
    this.registry.delete(tunnel as unknown as RunningTunnel)
  }

  get told(): FakeTunnel[] {
    return this.all.filter(({ told }) => told !== undefined)
  }
}
