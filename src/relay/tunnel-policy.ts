/** What a relay does with a tunnel by itself: one object for all tunnels of a route that speak the same protocol. */

import type { EndReason } from './tunnel-end.ts'

/** Why the gateway, or an operator through it, ends a tunnel. */
export type OwnReason = Exclude<EndReason, 'eof' | 'reset' | 'error'>

/** What a Close frame says (RFC 6455 5.5.1). */
export interface CloseFrame {
  readonly code: number
  /** At most 123 bytes of UTF-8. */
  readonly text: string
}

export interface KeepalivePolicy {
  /** Milliseconds of silence of a peer after which it is pinged. */
  readonly pingMs: number
  /** Milliseconds from the ping after which a peer that is still silent is dead. */
  readonly timeoutMs: number
  /** The upstream is pinged as well. */
  readonly upstream: boolean
}

export interface TunnelPolicy {
  /** Milliseconds without a byte in either direction, the gateway's own pings and their pongs left out; `Infinity` for no limit. */
  readonly idleMs: number
  /** Milliseconds of life; `Infinity` for no limit. */
  readonly lifetimeMs: number
  /** The tunnel is a WebSocket whose frames are followed: they are counted, and the gateway puts its own between them. */
  readonly frames: boolean
  /** With `frames` pings, without them those of TCP. Undefined for none. */
  readonly keepalive: KeepalivePolicy | undefined
  /** What both peers are told, where `frames` are followed, when the gateway ends the tunnel. */
  readonly closeFrames: Readonly<Record<OwnReason, CloseFrame>>
  /** Milliseconds that a peer has to answer a Close frame or a FIN; then it is reset. */
  readonly closeTimeoutMs: number
}
