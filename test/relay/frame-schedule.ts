/**
 * Random lives of a WebSocket tunnel, made from a number alone. As in `schedule.ts` each step waits for what it causes,
 * and what comes of the steps is certain, whichever relay carries the frames:
 *
 * - Peers send frames that are right, whole or in two pieces, and never a ping of 8 bytes: those are the gateway's, and
 *   each peer answers them by itself.
 * - A peer sends its Close frame when the other one's has come, or when the gateway has told it to, so that it is certain
 *   which one is the first; and nothing behind its Close frame.
 * - Once the gateway closes, a peer that is within a frame sends the rest of it, or ends there.
 * - Where frames are under way at a close, how many of them arrive is open (`exactBytes`), and when somebody is cut off
 *   all but the cause is (`exactEndings`).
 */

import { Dice } from './dice.ts'
import {
  closePayload,
  downFrame,
  upFrame,
  BINARY,
  CLOSE,
  CONTINUATION,
  PING,
  PONG,
  TEXT,
} from './made-frames.ts'
import { other, type Who } from './schedule.ts'

export type FrameStep =
  | { readonly do: 'send'; readonly who: Who; readonly bytes: Buffer }
  /** Waits until all that `who` has sent is with the other one. */
  | { readonly do: 'arrive'; readonly who: Who }
  /** Waits until `who` was pinged at least once. */
  | { readonly do: 'pinged'; readonly who: Who }
  | { readonly do: 'close'; readonly by: 'gateway' | 'admin'; readonly graceMs: number }
  /** Waits for the Close frame of the gateway. */
  | { readonly do: 'told'; readonly who: Who }
  | { readonly do: 'end'; readonly who: Who }
  /** Waits for a FIN. */
  | { readonly do: 'fin'; readonly who: Who }
  /** Waits for the end of the tunnel. */
  | { readonly do: 'over' }

export interface FrameSchedule {
  readonly seed: number
  readonly hasPings: boolean
  readonly steps: readonly FrameStep[]
  readonly exactBytes: boolean
  readonly exactEndings: boolean
}

const LONG_MS = 600_000
const SIDES = ['client', 'upstream'] as const

/** What one peer has done so far. */
interface State {
  isInMessage: boolean
  /** The rest of a frame that has begun. */
  rest: Buffer
  hasClosed: boolean
  hasEnded: boolean
}

/** The steps so far and what they have led to. */
class Life {
  readonly dice: Dice
  readonly steps: FrameStep[] = []
  readonly hasPings: boolean
  exactBytes = true
  exactEndings = true
  readonly #states: Readonly<Record<Who, State>> = { client: start(), upstream: start() }

  constructor(dice: Dice) {
    this.dice = dice
    this.hasPings = dice.chance(0.3)
  }

  state(who: Who): State {
    return this.#states[who]
  }

  add(...steps: readonly FrameStep[]): void {
    this.steps.push(...steps)
  }

  frame(who: Who): Buffer {
    const { dice } = this
    const state = this.state(who)
    const make = who === 'client' ? upFrame : downFrame
    if (dice.chance(0.2)) {
      const bytes = dice.of([0, 3, 7, 9, 125])
      return make(dice.of([PING, PONG, 11]), Buffer.alloc(bytes, dice.count(256)))
    }
    const opcode = state.isInMessage ? CONTINUATION : dice.of([TEXT, BINARY])
    const isFinal = dice.chance(0.7)
    state.isInMessage = !isFinal
    return make(opcode, Buffer.alloc(dice.size(150_000) - 1, dice.count(256)), { isFinal })
  }

  /** Some frames, the last of them perhaps in part. */
  send(who: Who): void {
    const { dice } = this
    const state = this.state(who)
    if (state.hasClosed || state.hasEnded) return
    const frames = [state.rest, ...Array.from({ length: dice.count(4) }, () => this.frame(who))]
    const bytes = Buffer.concat(frames)
    const last = frames.at(-1)?.length ?? 0
    const held = dice.chance(0.3) ? dice.count(last) : 0
    state.rest = bytes.subarray(bytes.length - held)
    this.add({ do: 'send', who, bytes: bytes.subarray(0, bytes.length - held) })
  }

  finish(who: Who): void {
    const state = this.state(who)
    this.add({ do: 'send', who, bytes: state.rest })
    state.rest = Buffer.alloc(0)
  }

  /** Its Close frame, if it was not sent before. */
  close(who: Who): void {
    const state = this.state(who)
    if (state.hasClosed || state.hasEnded) return
    state.hasClosed = true
    const payload = this.dice.of([closePayload(1000, 'peer'), closePayload(4711), Buffer.alloc(0)])
    this.add({ do: 'send', who, bytes: (who === 'client' ? upFrame : downFrame)(CLOSE, payload) })
  }

  end(who: Who): void {
    const state = this.state(who)
    if (!state.hasEnded) this.add({ do: 'end', who })
    state.hasEnded = true
  }

  quiet(): void {
    for (const who of SIDES) this.add({ do: 'arrive', who })
  }
}

function start(): State {
  return { isInMessage: false, rest: Buffer.alloc(0), hasClosed: false, hasEnded: false }
}

function traffic(life: Life): void {
  const { dice } = life
  for (let turns = dice.count(10); turns > 0; turns -= 1) {
    const who = dice.of(SIDES)
    if (dice.chance(0.7)) life.send(who)
    else life.add({ do: 'arrive', who })
  }
  const { client, upstream } = { client: life.state('client'), upstream: life.state('upstream') }
  if (!life.hasPings || client.rest.length > 0 || upstream.rest.length > 0) return
  life.quiet()
  for (const who of SIDES) life.add({ do: 'pinged', who })
}

/** The peers end it by themselves, with or without Close frames. */
function endByPeers(life: Life): void {
  const first = life.dice.of(SIDES)
  for (const who of [first, other(first)]) {
    life.finish(who)
    if (life.dice.chance(0.8)) life.close(who)
    life.add({ do: 'arrive', who })
  }
  for (const who of [first, other(first)]) {
    life.end(who)
    life.add({ do: 'fin', who: other(who) })
  }
  life.add({ do: 'over' })
}

function endByClose(life: Life): void {
  const { dice } = life
  const early = dice.of(SIDES)
  if (dice.chance(0.2)) {
    life.finish(early)
    life.close(early)
    life.add({ do: 'arrive', who: early })
  }
  if (dice.chance(0.6)) life.quiet()
  else {
    life.exactBytes = false
    for (const who of SIDES) life.send(who)
  }
  const by = dice.of(['gateway', 'admin'] as const)
  if (dice.chance(0.15)) cutOff(life, by)
  else closeInPeace(life, by)
}

/** Nobody answers in time. */
function cutOff(life: Life, by: 'gateway' | 'admin'): void {
  life.exactBytes = false
  life.exactEndings = false
  life.add({ do: 'close', by, graceMs: life.dice.of([0, 1, 20]) }, { do: 'over' })
}

function closeInPeace(life: Life, by: 'gateway' | 'admin'): void {
  const { dice } = life
  const [first, second] = dice.chance(0.5) ? SIDES : ([...SIDES].toReversed() as [Who, Who])
  const hadClosed = {
    client: life.state('client').hasClosed,
    upstream: life.state('upstream').hasClosed,
  }
  const isTruncated = { client: false, upstream: false }
  life.add({ do: 'close', by, graceMs: LONG_MS })
  for (const who of [first, second]) {
    const isWithin = life.state(who).rest.length > 0
    // Else the relay may not have read that it is within a frame.
    isTruncated[who] = isWithin && life.exactBytes && dice.chance(0.3)
    if (isTruncated[who]) life.end(who)
    else if (isWithin) life.finish(who)
  }
  // Who is not told itself speaks when the other one was: until then the relay may not know of the close.
  const isLast = (who: Who): boolean => isTruncated[other(who)] || hadClosed[other(who)]
  for (const who of isLast(first) ? [second, first] : [first, second]) {
    const from = other(who)
    if (isTruncated[from]) life.add({ do: 'fin', who })
    else if (!hadClosed[from]) life.add({ do: 'told', who })
    if (!life.state(who).hasEnded && !life.state(who).hasClosed && dice.chance(0.4)) {
      for (let frames = dice.count(4); frames > 0; frames -= 1) {
        life.add({ do: 'send', who, bytes: life.frame(who) })
      }
    }
    if (dice.chance(0.8)) life.close(who)
    else life.end(who)
  }
  for (const who of [first, second]) {
    life.add({ do: 'fin', who })
    life.end(who)
  }
  life.add({ do: 'over' })
}

export function makeFrameSchedule(seed: number): FrameSchedule {
  const dice = new Dice(seed)
  const life = new Life(dice)
  traffic(life)
  if (dice.chance(0.3)) endByPeers(life)
  else endByClose(life)
  const { steps, hasPings, exactBytes, exactEndings } = life
  return { seed, hasPings, steps, exactBytes, exactEndings }
}
