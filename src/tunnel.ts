/** A tunnel from its 101 to its end: what is known of it, and what is held for it until then. */

import type { OpenTunnel, Registry } from './relay/registry.ts'
import type { Tunnel, TunnelListener } from './relay/relay.ts'
import type { TunnelEnd } from './relay/tunnel-end.ts'
import type { Report, ReportedTunnel } from './report/report.ts'

export interface TunnelParts {
  readonly registry: Registry
  readonly report: Report
}

/** Places that are taken for a tunnel: among its route's, and at its endpoint. */
export interface Holdings {
  place: Disposable | undefined
  lease: Disposable | undefined
}

/** Gives back what is held; what is given back is not held any more. */
export function giveBack(holdings: Holdings): void {
  const { place, lease } = holdings
  holdings.lease = undefined
  holdings.place = undefined
  lease?.[Symbol.dispose]()
  place?.[Symbol.dispose]()
}

/** There are as many of these as tunnels are open: one object, and no closure, for each. */
export class RunningTunnel implements OpenTunnel, TunnelListener, Holdings {
  place: Disposable | undefined
  lease: Disposable | undefined
  tunnel!: Tunnel
  reported!: ReportedTunnel
  readonly #registry: Registry
  readonly #report: Report

  constructor({ registry, report }: TunnelParts) {
    this.#registry = registry
    this.#report = report
  }

  get route(): string {
    return this.reported.route
  }

  /** Takes over what `holdings` hold. */
  hold(holdings: Holdings): void {
    this.place = holdings.place
    this.lease = holdings.lease
    holdings.place = undefined
    holdings.lease = undefined
  }

  /** It is in the registry from now on. */
  open(tunnel: Tunnel, reported: ReportedTunnel): void {
    this.tunnel = tunnel
    this.reported = reported
    this.#registry.add(this)
  }

  onEnd(end: TunnelEnd): void {
    giveBack(this)
    this.#registry.delete(this)
    this.#report.tunnelClosed(this.reported, end)
  }
}
