/** One peer of a scheduled tunnel: it writes its part of a pattern, and compares what it gets with the other one's. */

import { randomFillSync } from 'node:crypto'
import type { Socket } from 'node:net'

/** A prime, so that the content does not repeat at any multiple of a buffer's size. */
const PATTERN_BYTES = 1_048_583
/** More than a socket reads at once. */
const OVERLAP_BYTES = 1024 * 1024

const pattern = makePattern()

function makePattern(): Buffer {
  const once = randomFillSync(Buffer.allocUnsafe(PATTERN_BYTES))
  return Buffer.concat([once, once.subarray(0, OVERLAP_BYTES)])
}

/** What a peer sends, from its byte `from` on: at most `OVERLAP_BYTES`. The two peers send different bytes. */
function sent(by: 'client' | 'upstream', from: number, bytes: number): Buffer {
  const at = (from + (by === 'client' ? 0 : 500_009)) % PATTERN_BYTES
  return pattern.subarray(at, at + bytes)
}

export class ScheduledPeer {
  readonly socket: Socket
  written = 0
  received = 0
  /** How the connection ended as this peer saw it: the first of what it saw. */
  ending: 'open' | 'fin' | 'reset' | 'closed' = 'open'
  /** What is wrong, if anything is. */
  fault: string | undefined
  readonly #who: 'client' | 'upstream'
  readonly #head: Buffer
  #wake: (() => void)[] = []

  /** `head` comes before the other one's bytes. */
  constructor(who: 'client' | 'upstream', socket: Socket, head: Buffer) {
    this.#who = who
    this.#head = head
    this.socket = socket
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNRESET' || code === 'EPIPE') this.#ends('reset')
      else this.#fail(`an error: ${code}`)
    })
    socket.on('end', () => this.#ends('fin'))
    socket.on('close', () => this.#ends('closed'))
  }

  get headBytes(): number {
    return this.#head.length
  }

  /** Begins to read. */
  open(): void {
    this.socket.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  write(bytes: number): void {
    this.socket.write(sent(this.#who, this.written, bytes))
    this.written += bytes
  }

  /** Waits until `ready` holds; it is asked whenever something has happened here. */
  async until(ready: () => boolean): Promise<void> {
    while (!ready()) {
      if (this.fault !== undefined) throw new Error(`the ${this.#who} got ${this.fault}`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  #read(chunk: Buffer): void {
    let rest = chunk
    if (this.received < this.#head.length) {
      const head = rest.subarray(0, this.#head.length - this.received)
      const wanted = this.#head.subarray(this.received, this.received + head.length)
      if (!head.equals(wanted)) this.#fail(`another head at byte ${this.received}`)
      rest = rest.subarray(head.length)
      this.received += head.length
    }
    const from = this.received - this.#head.length
    const by = this.#who === 'client' ? 'upstream' : 'client'
    if (!rest.equals(sent(by, from, rest.length))) this.#fail(`other bytes behind byte ${from}`)
    this.received += rest.length
    this.#tell()
  }

  #ends(how: 'fin' | 'reset' | 'closed'): void {
    if (this.ending === 'open') this.ending = how
    this.#tell()
  }

  #fail(fault: string): void {
    this.fault ??= fault
    this.#tell()
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
