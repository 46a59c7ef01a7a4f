/** Finds peers that have vanished: by our pings between the frames of a WebSocket, and by TCP below every protocol. */

import type { Flow } from './flow.ts'
import type { RelaySocket } from './relay.ts'
import type { KeepalivePolicy } from './tunnel-policy.ts'

/** Node counts whole seconds. */
const TCP_MIN_MS = 1000

/**
 * Node sets the silence before the first probe; their number and their distance (10, a second) are libuv's, and there is
 * no TCP_USER_TIMEOUT. It has no effect on a unix socket.
 */
export function watchByTcp(socket: RelaySocket, { pingMs }: KeepalivePolicy): void {
  socket.setKeepAlive(true, Math.max(TCP_MIN_MS, pingMs))
}

/** Whether the sender of `from` has not answered a ping in time. It is pinged where it is silent. Both flows have looked at `nowMs`. */
export function isDead(
  from: Flow,
  to: Flow,
  nowMs: number,
  { pingMs, timeoutMs }: KeepalivePolicy,
): boolean {
  if (!canAnswer(from, to)) return false
  const aliveAtMs = Math.max(from.heardAtMs, to.takenAtMs)
  if (to.pingedAtMs > aliveAtMs) return nowMs - to.pingedAtMs >= timeoutMs
  if (nowMs - aliveAtMs >= pingMs) to.ping()
  return false
}

/** Who has said its last word, or has heard the other one's, answers no ping; and whose pong could not be told from others' is not asked. */
function canAnswer(from: Flow, to: Flow): boolean {
  const isDone = from.scanner?.isDone === true || to.scanner?.isDone === true
  return !isDone && !from.ended && !to.isShut
}
