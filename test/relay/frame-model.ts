/**
 * What has to come of a run of frames, worked out from the whole stream at once and byte by byte: slow, and in another way
 * than the relays do it.
 */

import type { FrameOutcome, FrameRun } from './frame-run.ts'
import { CLOSE, CONTINUATION, PONG, masked } from './made-frames.ts'

interface ParsedFrame {
  readonly from: number
  readonly headerEnd: number
  /** What it counts as; undefined for a part of a message. */
  readonly kind: string | undefined
}

interface Parsed {
  readonly frames: readonly ParsedFrame[]
  /** Where frames begin, or would. */
  readonly borders: ReadonlySet<number>
  /** Where it turns out that the frames cannot be followed. */
  readonly blindAt: number
  /** The end of the Close frame. */
  readonly overAt: number
  readonly closeCode: number | undefined
}

const KINDS: Readonly<Record<number, string>> = {
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong',
}

function parse(stream: Buffer, isMasked: boolean): Parsed {
  const frames: ParsedFrame[] = []
  const borders = new Set<number>()
  const end = { blindAt: Infinity, overAt: Infinity, closeCode: undefined as number | undefined }
  let message: number | undefined
  for (let from = 0; ;) {
    borders.add(from)
    const [first, second, third] = stream.subarray(from, from + 3)
    if (first === undefined || second === undefined) break
    const opcode = first % 16
    const isFinal = first >= 128
    const isControl = opcode >= 8
    const isWrong =
      second >= 128 !== isMasked ||
      (isControl && (!isFinal || second % 128 > 125)) ||
      (opcode === CONTINUATION && message === undefined) ||
      ((opcode === 1 || opcode === 2) && message !== undefined)
    if (isWrong) {
      end.blindAt = from + 2
      break
    }
    const lengthBytes = new Map([
      [126, 2],
      [127, 8],
    ]).get(second % 128)
    if (lengthBytes === 8 && third !== undefined && third >= 128) {
      end.blindAt = from + 3
      break
    }
    const keyFrom = from + 2 + (lengthBytes ?? 0)
    const headerEnd = keyFrom + (isMasked ? 4 : 0)
    if (headerEnd > stream.length) break
    const digits = stream.toString('hex', from + 2, keyFrom)
    const length = lengthBytes === undefined ? second % 128 : Number(BigInt(`0x${digits}`))
    const type = opcode === CONTINUATION ? (message as number) : opcode
    const isData = opcode <= 2
    if (isData) message = isFinal ? undefined : type
    frames.push({
      from,
      headerEnd,
      kind: isData && !isFinal ? undefined : (KINDS[type] ?? 'other'),
    })
    from = headerEnd + length
    if (opcode === CLOSE) {
      const key = isMasked ? stream.subarray(keyFrom, headerEnd) : undefined
      const payload = masked(stream.subarray(headerEnd, from), key)
      if (length < 2) end.closeCode = 1005
      else if (payload.length >= 2) end.closeCode = payload.readUInt16BE()
      end.overAt = from
      break
    }
    if (from > stream.length) break
  }
  return { frames, borders, ...end }
}

export function expectedOf(run: FrameRun): FrameOutcome {
  const stream = Buffer.concat(run.steps.map((step) => (step.do === 'push' ? step.chunk : NOTHING)))
  const walk = new Walk(run, stream)
  for (const step of run.steps) {
    if (step.do === 'push') for (const _ of step.chunk) walk.byte()
    else if (step.do === 'fin') walk.fin()
    else walk.ask(step.do)
  }
  return walk.outcome()
}

const NOTHING = Buffer.alloc(0)

class Walk {
  readonly #run: FrameRun
  readonly #stream: Buffer
  readonly #parsed: Parsed
  readonly #forwarded: number[] = []
  readonly #ownPongs = new Set<number>()
  #at = 0
  #awaited = 0
  #ping = false
  #close = false
  #isShut = false
  #put = 0
  /** Where the bytes begin that are held back, and where it turns out that they are of another pong. */
  #held: { readonly from: number; readonly to: number } | undefined

  constructor(run: FrameRun, stream: Buffer) {
    this.#run = run
    this.#stream = stream
    this.#parsed = parse(stream, run.isMasked)
  }

  ask(what: 'await' | 'ping' | 'close'): void {
    if (what === 'await') this.#awaited += 1
    if (what === 'ping') this.#ping = true
    if (what === 'close') this.#close = true
    this.#settle()
  }

  byte(): void {
    const at = this.#at
    if (this.#held === undefined && this.#awaited > 0 && this.#isBorder) {
      const length = this.#likeOurs(at)
      if (length > 0) this.#held = { from: at, to: at + length }
    }
    this.#at += 1
    const held = this.#held
    if (held === undefined) {
      this.#forward(this.#stream.subarray(at, at + 1))
    } else if (at >= held.to) {
      this.#held = undefined
      this.#forward(this.#stream.subarray(held.from, at + 1))
    } else if (this.#at - held.from === this.#pongBytes) {
      this.#held = undefined
      this.#awaited -= 1
      this.#ownPongs.add(held.from)
    }
    this.#settle()
  }

  fin(): void {
    if (this.#held !== undefined) this.#forward(this.#stream.subarray(this.#held.from))
    this.#held = undefined
  }

  outcome(): FrameOutcome {
    const { frames, blindAt, closeCode } = this.#parsed
    const counts: Record<string, number | boolean> = {
      text: 0,
      binary: 0,
      ping: 0,
      pong: 0,
      close: 0,
      other: 0,
      blind: blindAt <= this.#stream.length,
    }
    for (const { from, kind } of frames) {
      if (kind === undefined || this.#ownPongs.has(from) || this.#held?.from === from) continue
      counts[kind] = Number(counts[kind]) + 1
    }
    return {
      forwarded: Buffer.from(this.#forwarded).toString('hex'),
      counts,
      closeCode,
      ownPongBytes: this.#ownPongs.size * this.#pongBytes,
      put: this.#put,
      isBetween: this.#isBorder,
      isFollowed: !this.#isDone,
      isShut: this.#isShut,
    }
  }

  get #pongBytes(): number {
    return this.#run.isMasked ? 14 : 10
  }

  get #isDone(): boolean {
    return this.#at >= this.#parsed.blindAt || this.#at >= this.#parsed.overAt
  }

  get #isBorder(): boolean {
    if (this.#held !== undefined) return true
    return !this.#isDone && this.#parsed.borders.has(this.#at)
  }

  /** How many bytes from `from` on are as those of a pong to our ping. */
  #likeOurs(from: number): number {
    const { isMasked, payload } = this.#run
    const bytes = this.#stream.subarray(from, from + this.#pongBytes)
    const key = isMasked ? bytes.subarray(2, 6) : undefined
    const wanted = Buffer.concat([
      Buffer.of(0x80 | (bytes[0]! & 0x70) | PONG, (isMasked ? 0x80 : 0) | 8),
      key ?? NOTHING,
      key === undefined || key.length < 4 ? payload : masked(payload, key),
    ])
    const differs = bytes.findIndex((byte, index) => byte !== wanted[index])
    return differs < 0 ? bytes.length : differs
  }

  #settle(): void {
    if (!this.#isBorder && !this.#isDone) return
    const { ping, close } = this.#run
    if (this.#isBorder && (this.#close || this.#ping)) {
      this.#forward(this.#close ? close : ping)
      this.#put += 1
    }
    if (this.#close) this.#isShut = true
    this.#ping = false
    this.#close = false
  }

  #forward(bytes: Buffer): void {
    if (!this.#isShut) this.#forwarded.push(...bytes)
  }
}
