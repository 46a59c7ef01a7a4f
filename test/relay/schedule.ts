/**
 * Random lives of a tunnel, made from a number alone. Each step waits for what it causes, never for the clock, and the
 * steps are such that what comes of them is certain, whichever relay carries the bytes:
 *
 * - Before a side resets or ends, what the other one has under way towards its own end has arrived: of two causes that
 *   race either may be named.
 * - A side that has ended does not reset: the portable relay reads no further there and learns of it by the next write.
 * - Over a unix socket nothing is reset, because there is no such thing; a tunnel with one is ended by FINs.
 * - Where bytes are under way at a reset or a close, how many of them arrive is open (`exactBytes`), and so is whether a
 *   peer that is cut off after its grace has seen the FIN before (`exactEndings`).
 */

import { Dice } from './dice.ts'

export type Who = 'client' | 'upstream'

export type Step =
  | { readonly do: 'write'; readonly who: Who; readonly bytes: number }
  /** After the gateway's FIN: bytes that nobody gets, and nobody counts. */
  | { readonly do: 'waste'; readonly who: Who; readonly bytes: number }
  /** `who` stops reading. */
  | { readonly do: 'stall'; readonly who: Who }
  | { readonly do: 'read'; readonly who: Who }
  /** Waits until all that `who` has written is with the other one. */
  | { readonly do: 'arrive'; readonly who: Who }
  | { readonly do: 'end'; readonly who: Who }
  | { readonly do: 'reset'; readonly who: Who }
  | { readonly do: 'close'; readonly by: 'gateway' | 'admin'; readonly graceMs: number }
  /** Waits until `who` has seen a FIN, or the end of the connection in whatever form. */
  | { readonly do: 'sees'; readonly who: Who; readonly what: 'fin' | 'reset' | 'anything' }
  /** Waits for the end of the tunnel. */
  | { readonly do: 'over' }

/** How one side begins. */
export interface Start {
  readonly socket: 'tcp' | 'unix'
  /** Sizes of what was read before the relay gets the socket. */
  readonly unread: readonly number[]
  /** Bytes that node has read by itself. */
  readonly buffered: number
}

export interface Schedule {
  readonly seed: number
  readonly headBytes: number
  readonly client: Start
  readonly upstream: Start
  readonly steps: readonly Step[]
  readonly exactBytes: boolean
  readonly exactEndings: boolean
}

const KIB = 1024
const MIB = 1024 * KIB
/** Longer than any test: who is given so much time answers. */
const LONG_MS = 600_000

export function other(who: Who): Who {
  return who === 'client' ? 'upstream' : 'client'
}

/** The steps so far and what they have led to. */
class Life {
  readonly dice: Dice
  readonly isUnix: boolean
  readonly steps: Step[] = []
  readonly stalled = new Set<Who>()
  readonly ended = new Set<Who>()
  exactBytes = true
  exactEndings = true

  constructor(dice: Dice, isUnix: boolean) {
    this.dice = dice
    this.isUnix = isUnix
  }

  add(...steps: readonly Step[]): void {
    this.steps.push(...steps)
  }

  write(who: Who, max: number): void {
    if (!this.ended.has(who)) this.add({ do: 'write', who, bytes: this.dice.size(max) })
  }

  stall(who: Who): void {
    if (!this.stalled.has(who)) this.add({ do: 'stall', who })
    this.stalled.add(who)
  }

  read(who: Who): void {
    if (this.stalled.has(who)) this.add({ do: 'read', who })
    this.stalled.delete(who)
  }

  arrive(who: Who): void {
    if (!this.stalled.has(other(who))) this.add({ do: 'arrive', who })
  }

  /** All that was written has arrived, and nobody is stalled. */
  quiet(): void {
    for (const who of ['client', 'upstream'] as const) this.read(who)
    for (const who of ['client', 'upstream'] as const) this.arrive(who)
  }

  /** The FIN of `who`, seen by the other one; perhaps after a stall that it has waited behind. */
  end(who: Who): void {
    if (this.ended.has(who)) return
    this.ended.add(who)
    this.add({ do: 'end', who })
    this.read(other(who))
    this.add({ do: 'sees', who: other(who), what: 'fin' })
  }
}

/** A turn of traffic. */
function traffic(life: Life): void {
  const { dice } = life
  const who = dice.of<Who>(['client', 'upstream'])
  const kind = dice.roll()
  if (kind < 0.45) life.write(who, MIB)
  else if (kind < 0.6) life.stall(who)
  else if (kind < 0.75) life.read(who)
  else if (kind < 0.95) life.arrive(who)
  else flood(life, who)
}

/** More than the sockets of a stalled way hold, so that the relay is stalled as well. */
function flood(life: Life, who: Who): void {
  if (life.ended.has(who)) return
  life.stall(other(who))
  for (let count = 0; count < 10; count += 1) life.add({ do: 'write', who, bytes: MIB })
}

function endByFins(life: Life): void {
  const first = life.dice.of<Who>(['client', 'upstream'])
  life.end(first)
  if (life.dice.chance(0.5)) {
    for (let turns = life.dice.count(4); turns > 0; turns -= 1) life.write(other(first), MIB)
  }
  life.end(other(first))
  life.add({ do: 'over' })
}

function endByReset(life: Life): void {
  const { dice } = life
  const able = (['client', 'upstream'] as const).filter((who) => !life.ended.has(who))
  const who = dice.of(able)
  if (dice.chance(0.5)) life.quiet()
  else {
    life.exactBytes = false
    // What goes towards the one who resets must not bring the other one's end in the meantime.
    life.write(who, MIB)
    life.write(other(who), MIB)
  }
  life.add({ do: 'reset', who })
  life.read(other(who))
  life.add({ do: 'sees', who: other(who), what: 'reset' }, { do: 'over' })
}

function endByClose(life: Life): void {
  const { dice } = life
  const by = dice.of(['gateway', 'admin'] as const)
  if (dice.chance(0.5)) life.quiet()
  else {
    life.exactBytes = false
    life.write('client', MIB)
    life.write('upstream', MIB)
  }
  if (dice.chance(0.3)) cutOff(life, by)
  else closeInPeace(life, by)
}

/** Somebody does not answer in time. */
function cutOff(life: Life, by: 'gateway' | 'admin'): void {
  life.exactBytes = false
  life.exactEndings = false
  life.add({ do: 'close', by, graceMs: life.dice.of([0, 1, 20]) }, { do: 'over' })
  for (const who of ['client', 'upstream'] as const) {
    life.read(who)
    life.add({ do: 'sees', who, what: 'anything' })
  }
}

/** Both see the FIN; then each answers it, or one resets, or the gateway loses its patience. */
function closeInPeace(life: Life, by: 'gateway' | 'admin'): void {
  const { dice } = life
  life.add({ do: 'close', by, graceMs: LONG_MS })
  for (const who of ['client', 'upstream'] as const) {
    life.read(who)
    life.add({ do: 'sees', who, what: 'fin' })
  }
  const [first, second] = dice.chance(0.5)
    ? (['client', 'upstream'] as const)
    : (['upstream', 'client'] as const)
  const answer = dice.roll()
  const canReset = !life.isUnix && !life.ended.has(first)
  if (answer < 0.2) life.add({ do: 'close', by: 'gateway', graceMs: 0 })
  else if (answer < 0.4 && canReset) life.add({ do: 'reset', who: first })
  else {
    for (const who of [first, second]) {
      if (life.ended.has(who)) continue
      if (dice.chance(0.5)) life.add({ do: 'waste', who, bytes: dice.size(MIB) })
      life.add({ do: 'end', who })
    }
  }
  life.add({ do: 'over' })
}

function start(dice: Dice): Start {
  return {
    socket: dice.chance(0.3) ? 'unix' : 'tcp',
    unread: Array.from({ length: dice.chance(0.3) ? dice.count(4) : 0 }, () => dice.size(20 * KIB)),
    buffered: dice.chance(0.3) ? dice.size(20 * KIB) : 0,
  }
}

export function makeSchedule(seed: number): Schedule {
  const dice = new Dice(seed)
  const [client, upstream] = [start(dice), start(dice)]
  const isUnix = client.socket === 'unix' || upstream.socket === 'unix'
  const life = new Life(dice, isUnix)
  for (let turns = dice.count(16); turns > 0; turns -= 1) traffic(life)
  if (dice.chance(0.25)) {
    life.end(dice.of(['client', 'upstream']))
    for (let turns = dice.count(8); turns > 0; turns -= 1) traffic(life)
  }
  const ending = dice.roll()
  if (ending < 0.4) endByFins(life)
  else if (ending < 0.7 && !isUnix) endByReset(life)
  else endByClose(life)
  const { steps, exactBytes, exactEndings } = life
  const headBytes = dice.chance(0.5) ? dice.size(4 * KIB) : 0
  return { seed, headBytes, client, upstream, steps, exactBytes, exactEndings }
}
