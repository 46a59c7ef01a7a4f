/**
 * What one direction of a WebSocket goes through, made from a number alone: frames that are right, frames that are almost
 * a pong to our ping, frames that break the protocol, and noise, cut anywhere, with things asked for in between.
 */

import { Dice } from './dice.ts'
import {
  closePayload,
  madeFrame,
  BINARY,
  CLOSE,
  CONTINUATION,
  PING,
  PONG,
  TEXT,
} from './made-frames.ts'

export type FrameStep =
  | { readonly do: 'push'; readonly chunk: Buffer }
  /** The sender was pinged. */
  | { readonly do: 'await' }
  /** The receiver shall be pinged. */
  | { readonly do: 'ping' }
  | { readonly do: 'close' }
  /** The sender's FIN: the last step. */
  | { readonly do: 'fin' }

export interface FrameRun {
  readonly seed: number
  /** It comes from a client. */
  readonly isMasked: boolean
  /** Of our pings. */
  readonly payload: Buffer
  /** What is put between the frames. */
  readonly ping: Buffer
  readonly close: Buffer
  readonly steps: readonly FrameStep[]
}

/** What comes of it. */
export interface FrameOutcome {
  /** In hexadecimal digits. */
  readonly forwarded: string
  readonly counts: Readonly<Record<string, number | boolean>>
  readonly closeCode: number | undefined
  /** Bytes of pongs that went no further. */
  readonly ownPongBytes: number
  /** How many frames of ours were put. */
  readonly put: number
  /** Of what has come so far: a frame of ours could be put behind it; it is neither blind nor behind a Close frame. */
  readonly isBetween: boolean
  readonly isFollowed: boolean
  /** Nothing is forwarded any more. */
  readonly isShut: boolean
}

const DATA_TYPES = [TEXT, BINARY]
const RESERVED = [3, 7, 11, 15]

export function makeRun(seed: number): FrameRun {
  const dice = new Dice(seed)
  const isMasked = dice.chance(0.5)
  const payload = bytes(dice, 8)
  const peer = new Peer(dice, isMasked, payload)
  const stream = peer.stream()
  const steps = cut(dice, stream)
  if (dice.chance(0.3)) steps.push({ do: 'fin' })
  return {
    seed,
    isMasked,
    payload,
    ping: madeFrame(PING, payload),
    close: madeFrame(CLOSE, closePayload(1001, 'bye')),
    steps,
  }
}

function bytes(dice: Dice, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => dice.count(256)))
}

/** In chunks of a size that is typical for the run, with things asked for in between. */
function cut(dice: Dice, stream: Buffer): FrameStep[] {
  const steps: FrameStep[] = []
  const chunkMax = dice.of([1, 3, 20, 200, 5000])
  const asked = dice.of([0, 0.05, 0.3])
  for (let at = 0; at < stream.length;) {
    while (dice.chance(asked)) steps.push({ do: dice.of(['await', 'await', 'ping'] as const) })
    if (dice.chance(0.01 * asked)) steps.push({ do: 'close' })
    const end = at + 1 + dice.count(chunkMax)
    steps.push({ do: 'push', chunk: stream.subarray(at, end) })
    at = end
  }
  if (dice.chance(0.3)) steps.splice(dice.count(steps.length + 1), 0, { do: 'close' })
  // The relay asks for nothing once it is closing, save for what was asked for already.
  const closeAt = steps.findIndex((step) => step.do === 'close')
  return steps.filter(
    (step, index) => closeAt < 0 || index <= closeAt || (step.do !== 'ping' && step.do !== 'close'),
  )
}

/** Sends frames. */
class Peer {
  readonly #dice: Dice
  readonly #isMasked: boolean
  readonly #payload: Buffer
  #isInMessage = false

  constructor(dice: Dice, isMasked: boolean, payload: Buffer) {
    this.#dice = dice
    this.#isMasked = isMasked
    this.#payload = payload
  }

  stream(): Buffer {
    const dice = this.#dice
    const frames: Buffer[] = []
    const isHostile = dice.chance(0.4)
    for (let left = dice.count(25); left > 0; left -= 1) {
      if (isHostile && dice.chance(0.1)) frames.push(this.#broken())
      else frames.push(this.#right())
    }
    const whole = Buffer.concat(frames)
    return dice.chance(0.3) ? whole.subarray(0, dice.count(whole.length + 1)) : whole
  }

  #frame(opcode: number, payload: Buffer, isFinal = true): Buffer {
    const dice = this.#dice
    const rsv = dice.chance(0.1) ? dice.count(8) : 0
    const isLong = opcode < 8 && payload.length < 65_536 && dice.chance(0.1)
    return madeFrame(opcode, payload, {
      isFinal,
      rsv,
      key: this.#key(),
      ...(isLong ? { lengthBytes: dice.of([2, 8]) } : {}),
    })
  }

  #key(): Buffer | undefined {
    return this.#isMasked ? bytes(this.#dice, 4) : undefined
  }

  #right(): Buffer {
    const dice = this.#dice
    const kind = dice.roll()
    if (kind < 0.4) return this.#data()
    if (kind < 0.6) return this.#frame(PONG, this.#payload)
    if (kind < 0.75) return this.#almostOurs()
    if (kind < 0.9) return this.#frame(dice.of([PING, PONG]), bytes(dice, dice.count(126)))
    if (kind < 0.97) return this.#frame(dice.of(RESERVED), bytes(dice, dice.count(30)))
    return this.#frame(CLOSE, dice.of([bytes(dice, dice.count(3)), closePayload(1000, 'done')]))
  }

  #data(): Buffer {
    const dice = this.#dice
    const isFinal = dice.chance(0.6)
    const opcode = this.#isInMessage ? CONTINUATION : dice.of(DATA_TYPES)
    this.#isInMessage = !isFinal
    return this.#frame(opcode, bytes(dice, dice.size(dice.of([10, 300, 70_000])) - 1), isFinal)
  }

  /** Pongs that differ from ours at one place. */
  #almostOurs(): Buffer {
    const dice = this.#dice
    const payload = Buffer.from(this.#payload)
    const at = dice.count(payload.length)
    payload[at] = (payload[at] as number) ^ (1 + dice.count(255))
    return dice.of([
      () => this.#frame(PONG, payload),
      () => this.#frame(PONG, payload.subarray(0, at)),
      () => this.#frame(PONG, Buffer.concat([this.#payload, payload])),
      () => this.#frame(PING, this.#payload),
    ])()
  }

  #broken(): Buffer {
    const dice = this.#dice
    const payload = bytes(dice, dice.count(20))
    const key = this.#key()
    return dice.of([
      () => madeFrame(BINARY, payload, { length: 2n ** 63n + 5n, key }),
      () => madeFrame(BINARY, payload, { length: 2n ** 62n, key }),
      () => madeFrame(PONG, bytes(dice, 126), { key }),
      () => madeFrame(PONG, this.#payload, { isFinal: false, key }),
      () => madeFrame(PONG, this.#payload, { key: this.#isMasked ? undefined : bytes(dice, 4) }),
      () => madeFrame(PONG, this.#payload, { lengthBytes: 2, key }),
      () => madeFrame(this.#isInMessage ? TEXT : CONTINUATION, payload, { key }),
      () => payload,
    ])()
  }
}
