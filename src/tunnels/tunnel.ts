/** A tunnel from its 101 to its end: what is known of it, and what is held for it until then. */

import type { Grant } from '../auth/grant.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import type { RouteParts } from '../plane.ts'
import type { Tunnel, TunnelListener } from '../relay/relay.ts'
import type { TunnelEnd } from '../relay/tunnel-end.ts'
import type { CloseFrame, OwnReason, TunnelPolicy } from '../relay/tunnel-policy.ts'
import type { Report } from '../report/report.ts'
import type { ReportedTunnel } from '../report/reported.ts'
import type { Registry } from './registry.ts'

export interface TunnelParts {
  readonly registry: Registry
  readonly report: Report
  readonly expiry: Expiry
}

/** Who ends tunnels when their credentials end; see `expiry.ts`. */
interface Expiry {
  watch(tunnel: RunningTunnel): void
  unwatch(tunnel: RunningTunnel): void
  /** Puts other grants in place of those that it has. */
  regrant(tunnel: RunningTunnel, grants: readonly Grant[]): void
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

/** What a tunnel was opened under. */
export interface Opened {
  readonly tunnel: Tunnel
  readonly reported: ReportedTunnel
  readonly policy: TunnelPolicy
  /** As of the plane under which it was opened, or which has taken it over. */
  readonly parts: RouteParts
  readonly endpoint: Endpoint
  /** What let it in; empty where nothing was asked. */
  readonly grants: readonly Grant[]
  /** The Origin of its request, for a reload that allows others. */
  readonly origin: string | undefined
}

/** There are as many of these as tunnels are open: one object, and no closure, for each. */
export class RunningTunnel implements TunnelListener, Holdings {
  place: Disposable | undefined
  lease: Disposable | undefined
  tunnel!: Tunnel
  reported!: ReportedTunnel
  policy!: TunnelPolicy
  parts!: RouteParts
  endpoint!: Endpoint
  grants!: readonly Grant[]
  origin: string | undefined
  readonly openedAtMs = Date.now()
  /** It was told to end, or has ended. */
  isEnding = false
  readonly #owner: TunnelParts

  constructor(owner: TunnelParts) {
    this.#owner = owner
  }

  get id(): string {
    return this.reported.tunnelId
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
  open(opened: Opened): void {
    this.tunnel = opened.tunnel
    this.reported = opened.reported
    this.policy = opened.policy
    this.parts = opened.parts
    this.endpoint = opened.endpoint
    this.grants = opened.grants
    this.origin = opened.origin
    const { registry, expiry } = this.#owner
    registry.add(this)
    if (this.grants.length > 0) expiry.watch(this)
  }

  /** A new config has these parts in place of those that it was opened under. */
  adopt(parts: RouteParts, endpoint: Endpoint, grants: readonly Grant[]): void {
    this.parts = parts
    this.policy = this.policy.frames ? parts.webSocketPolicy : parts.bytesPolicy
    this.endpoint = endpoint
    const { expiry, report } = this.#owner
    this.reported = report.tunnelMoved(this.reported, parts.config, this.tunnel.read())
    expiry.regrant(this, grants)
  }

  /** Ends it, with the Close frame that its route has for this reason unless another one is given. Once: what comes later is not heard. */
  end(by: 'gateway' | 'admin', reason: OwnReason, frame?: CloseFrame): void {
    if (this.isEnding) return
    this.isEnding = true
    const { closeFrames, closeTimeoutMs } = this.policy
    this.tunnel.close(by, reason, {
      frame: frame ?? closeFrames[reason],
      timeoutMs: closeTimeoutMs,
    })
  }

  /** Resets it. */
  cut(by: 'gateway' | 'admin', reason: OwnReason): void {
    this.isEnding = true
    this.tunnel.close(by, reason, { frame: undefined, timeoutMs: 0 })
  }

  onEnd(end: TunnelEnd): void {
    this.isEnding = true
    const { registry, report, expiry } = this.#owner
    giveBack(this)
    registry.delete(this)
    if (this.grants.length > 0) expiry.unwatch(this)
    report.tunnelClosed(this.reported, end)
  }
}
