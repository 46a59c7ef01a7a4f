/**
 * How fast a tunnel is now, from the difference to an earlier look at it. Nobody measures in between: a look is compared
 * with the last one that is at least a second old, whoever's it was; a tunnel that nobody has looked at is told its mean.
 */

import type { FrameCounts, TunnelReading } from '../relay/tunnel-end.ts'
import type { RunningTunnel } from '../tunnels/tunnel.ts'

/** Nearer looks tell more of chance than of the tunnel. */
const APART_MS_MIN = 1000

/** What was read at one moment. */
interface Look {
  readonly atMs: number
  readonly bytesUp: number
  readonly bytesDown: number
  /** Text and binary messages; undefined where frames are not followed. */
  readonly messagesUp: number | undefined
  readonly messagesDown: number | undefined
}

/** A second, each. */
export interface Rate {
  /** The time they were measured over. */
  readonly seconds: number
  readonly bytesUp: number
  readonly bytesDown: number
  readonly messagesUp: number | undefined
  readonly messagesDown: number | undefined
}

interface Looks {
  /** At least `APART_MS_MIN` before `last`. */
  before: Look
  last: Look
}

export class Rates {
  readonly #looks = new WeakMap<RunningTunnel, Looks>()

  /** Looks at a tunnel, at `nowMs` of the wall clock. */
  look(tunnel: RunningTunnel, nowMs: number): { reading: TunnelReading; rate: Rate } {
    const reading = tunnel.tunnel.read()
    const rate = this.#rate(tunnel, lookOf(reading, nowMs))
    return { reading, rate }
  }

  #rate(tunnel: RunningTunnel, look: Look): Rate {
    const looks = this.#looks.get(tunnel)
    if (looks === undefined) {
      const before = opening(tunnel, look)
      this.#looks.set(tunnel, { before, last: look })
      return rateOf(before, look)
    }
    // A clock that was put back begins anew.
    if (look.atMs < looks.last.atMs) looks.before = opening(tunnel, look)
    else if (look.atMs - looks.last.atMs >= APART_MS_MIN) looks.before = looks.last
    else return rateOf(looks.before, look)
    looks.last = look
    return rateOf(looks.before, look)
  }
}

/** As if somebody had looked at its 101. */
function opening(tunnel: RunningTunnel, { messagesUp }: Look): Look {
  const messages = messagesUp === undefined ? undefined : 0
  return {
    atMs: tunnel.openedAtMs,
    bytesUp: 0,
    bytesDown: 0,
    messagesUp: messages,
    messagesDown: messages,
  }
}

function lookOf({ bytesUp, bytesDown, webSocket }: TunnelReading, atMs: number): Look {
  return {
    atMs,
    bytesUp,
    bytesDown,
    messagesUp: webSocket && messagesOf(webSocket.up),
    messagesDown: webSocket && messagesOf(webSocket.down),
  }
}

function messagesOf({ text, binary }: FrameCounts): number {
  return text + binary
}

function rateOf(before: Look, now: Look): Rate {
  // A tunnel of this very millisecond has no rate yet.
  const seconds = Math.max(now.atMs - before.atMs, 1) / 1000
  return {
    seconds,
    bytesUp: (now.bytesUp - before.bytesUp) / seconds,
    bytesDown: (now.bytesDown - before.bytesDown) / seconds,
    messagesUp: difference(before.messagesUp, now.messagesUp, seconds),
    messagesDown: difference(before.messagesDown, now.messagesDown, seconds),
  }
}

function difference(
  before: number | undefined,
  now: number | undefined,
  seconds: number,
): number | undefined {
  return before === undefined || now === undefined ? undefined : (now - before) / seconds
}
