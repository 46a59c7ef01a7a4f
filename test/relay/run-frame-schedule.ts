/** Runs a schedule of frames through a relay, over real sockets. */

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { Relay } from '../../src/relay/relay.ts'
import type { EndedBy, EndReason, WebSocketReading } from '../../src/relay/tunnel-end.ts'
import { socketPair } from '../support/socket-pair.ts'
import { CLOSE_FRAMES, tunnelPolicy } from '../support/tunnel-policy.ts'
import { openTunnel, type WatchedTunnel } from '../support/watched-tunnel.ts'
import { hasDone } from './joined.ts'
import type { FrameSchedule, FrameStep } from './frame-schedule.ts'
import { closePayload, downFrame, masked, upFrame, CLOSE, PING, PONG } from './made-frames.ts'
import { other, type Who } from './schedule.ts'

const PINGS = { pingMs: 10, timeoutMs: 600_000, upstream: true }
const TOLD = closePayload(CLOSE_FRAMES.drain.code, CLOSE_FRAMES.drain.text)
const SIDES = ['client', 'upstream'] as const

/** What is certain of the end of a schedule. */
export interface FrameEnding {
  readonly by: EndedBy
  readonly reason: EndReason
  readonly webSocket: WebSocketReading | undefined | 'open'
  /** Bytes of the other one. */
  readonly received: Readonly<Record<Who, number | 'open'>>
  readonly told: Readonly<Record<Who, boolean | 'open'>>
}

type Peers = Readonly<Record<Who, Peer>>

/** Answers the gateway's pings, and takes what is the gateway's out of what it gets. */
class Peer {
  readonly socket: Socket
  readonly #isClient: boolean
  /** All that this peer has sent, save for its pongs to the gateway. */
  sent = Buffer.alloc(0)
  /** What the other one has sent, as far as it has come; the last frame perhaps in part. */
  received = Buffer.alloc(0)
  /** How much of that is whole frames. */
  #whole = 0
  isTold = false
  isPinged = false
  hasFin = false
  isClosed = false
  fault: string | undefined
  /** It cannot put a pong where it is. */
  #isWithin = false
  #wake: (() => void)[] = []

  constructor(who: Who, socket: Socket) {
    this.#isClient = who === 'client'
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => {
      this.hasFin = true
      this.#tell()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      this.#tell()
    })
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes)
    this.sent = Buffer.concat([this.sent, bytes])
    const last = lastFrame(this.sent)
    // Nor does it, once it has said its last word.
    this.#isWithin = last.isPart || last.opcode === CLOSE
  }

  end(): void {
    this.#isWithin = true
    this.socket.end()
  }

  async until(ready: () => boolean): Promise<void> {
    while (!ready()) {
      if (this.fault !== undefined) throw new Error(this.fault)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  #read(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk])
    for (;;) {
      const frame = frameAt(this.received, this.#whole)
      if (frame === undefined) break
      const isOurs = this.#takes(frame)
      if (!isOurs) this.#whole = frame.end
      else {
        this.received = Buffer.concat([
          this.received.subarray(0, this.#whole),
          this.received.subarray(frame.end),
        ])
      }
    }
    this.#tell()
  }

  /** Whether it is the gateway's. */
  #takes({ opcode, isMasked, payload }: WholeFrame): boolean {
    if (isMasked === this.#isClient) this.fault ??= 'a frame has the wrong mask'
    if (this.isTold) this.fault ??= 'a frame has come behind the Close frame of the gateway'
    if (opcode === PING && payload.length === 8) {
      this.isPinged = true
      if (!this.#isWithin) this.socket.write((this.#isClient ? upFrame : downFrame)(PONG, payload))
      return true
    }
    if (opcode !== CLOSE || !payload.equals(TOLD)) return false
    this.isTold = true
    return true
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

interface WholeFrame {
  readonly opcode: number
  readonly isMasked: boolean
  readonly payload: Buffer
  readonly end: number
}

/** Undefined where it is not whole. */
function frameAt(bytes: Buffer, from: number): WholeFrame | undefined {
  const [first, second] = bytes.subarray(from, from + 2)
  if (first === undefined || second === undefined) return undefined
  const short = second & 0x7f
  const lengthEnd = from + 2 + (short < 126 ? 0 : short === 126 ? 2 : 8)
  const isMasked = second > 0x7f
  const headerEnd = lengthEnd + (isMasked ? 4 : 0)
  if (bytes.length < headerEnd) return undefined
  const length =
    short < 126
      ? short
      : bytes.readUIntBE(Math.max(from + 2, lengthEnd - 6), Math.min(lengthEnd - from - 2, 6))
  const end = headerEnd + length
  if (bytes.length < end) return undefined
  const key = isMasked ? bytes.subarray(lengthEnd, headerEnd) : undefined
  const payload =
    length > 125 ? bytes.subarray(headerEnd, end) : masked(bytes.subarray(headerEnd, end), key)
  return { opcode: first & 0x0f, isMasked, payload, end }
}

function lastFrame(bytes: Buffer): { readonly opcode: number; readonly isPart: boolean } {
  let opcode = -1
  for (let from = 0; from < bytes.length;) {
    const frame = frameAt(bytes, from)
    if (frame === undefined) return { opcode, isPart: true }
    opcode = frame.opcode
    from = frame.end
  }
  return { opcode, isPart: false }
}

export async function runFrameSchedule(
  schedule: FrameSchedule,
  relay: Relay,
): Promise<FrameEnding> {
  await using a = await socketPair()
  await using b = await socketPair()
  const peers: Peers = {
    client: new Peer('client', a.peer),
    upstream: new Peer('upstream', b.peer),
  }
  const keepalive = schedule.hasPings ? PINGS : undefined
  const tunnel = openTunnel(
    relay,
    { socket: a.socket, unread: [], ended: false },
    { socket: b.socket, unread: [], ended: false },
    { head: '', policy: tunnelPolicy({ frames: true, keepalive }) },
  )
  for (const step of schedule.steps) await take(step, peers, tunnel, relay)
  const { by, reason, webSocket } = await tunnel.ended
  for (const who of SIDES) await peers[who].until(() => peers[who].hasFin || peers[who].isClosed)
  check(schedule, peers)
  const open = <T>(isExact: boolean, value: T): T | 'open' => (isExact ? value : 'open')
  const { exactBytes, exactEndings } = schedule
  const { client, upstream } = peers
  return {
    by,
    reason,
    webSocket: open(exactEndings, webSocket),
    received: {
      client: open(exactBytes, client.received.length),
      upstream: open(exactBytes, upstream.received.length),
    },
    told: {
      client: open(exactEndings, client.isTold),
      upstream: open(exactEndings, upstream.isTold),
    },
  }
}

async function take(
  step: FrameStep,
  peers: Peers,
  tunnel: WatchedTunnel,
  relay: Relay,
): Promise<void> {
  if (step.do === 'over') {
    await tunnel.ended
    return
  }
  if (step.do === 'close') {
    tunnel.close(step.by, 'drain', { frame: CLOSE_FRAMES.drain, timeoutMs: step.graceMs })
    // A FIN that comes next must not overtake it on its way to the relay's thread.
    await hasDone(relay)
    return
  }
  const peer = peers[step.who]
  switch (step.do) {
    case 'send':
      peer.send(step.bytes)
      break
    case 'end':
      peer.end()
      break
    case 'arrive': {
      const to = peers[other(step.who)]
      await to.until(() => to.received.length >= peer.sent.length)
      break
    }
    case 'pinged':
      await peer.until(() => peer.isPinged)
      break
    case 'told':
      await peer.until(() => peer.isTold)
      break
    case 'fin':
      await peer.until(() => peer.hasFin)
      break
  }
}

/** What holds with every relay. */
function check(schedule: FrameSchedule, peers: Peers): void {
  for (const who of SIDES) {
    const [{ received, isTold, fault }, { sent }] = [peers[who], peers[other(who)]]
    assert.equal(fault, undefined, who)
    assert.ok(sent.subarray(0, received.length).equals(received), `the ${who} got other bytes`)
    if (isTold)
      assert.equal(lastFrame(received).isPart, false, `the ${who} was told within a frame`)
    if (!schedule.steps.some((step) => step.do === 'close'))
      assert.equal(received.length, sent.length)
  }
}
