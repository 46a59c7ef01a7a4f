/** What relays are told in tests. */

import type { CloseFrame, OwnReason, TunnelPolicy } from '../../src/relay/tunnel-policy.ts'

const REASONS: readonly OwnReason[] = [
  'idle',
  'lifetime',
  'dead',
  'expired',
  'drain',
  'reload',
  'kill',
  'rebalance',
]

/** The reason is the text of its frame. */
export const CLOSE_FRAMES = Object.fromEntries(
  REASONS.map((reason, index) => [reason, { code: 4000 + index, text: reason }]),
) as Record<OwnReason, CloseFrame>

/** No limits and no frames, unless told otherwise. */
export function tunnelPolicy(changes: Partial<TunnelPolicy> = {}): TunnelPolicy {
  return {
    idleMs: Infinity,
    lifetimeMs: Infinity,
    frames: false,
    keepalive: undefined,
    closeFrames: CLOSE_FRAMES,
    closeTimeoutMs: 2000,
    ...changes,
  }
}
