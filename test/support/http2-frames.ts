/** HTTP/2 by the byte (RFC 9113, RFC 7541): for clients that no library would let misbehave so. */

import { once } from 'node:events'
import net from 'node:net'

export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PUSH_PROMISE = 5
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4

export const ENHANCE_YOUR_CALM = 11

/** RFC 9113 3.4 */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

/** Literal fields that no table keeps. */
export function fieldBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  )
}

/** A field that the dynamic table keeps: the byte 0xbe is the newest one of it. */
export function keptField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  const length: number[] = []
  if (bytes.length < 127) length.push(bytes.length)
  else {
    length.push(127)
    let left = bytes.length - 127
    for (; left >= 128; left >>= 7) length.push((left & 127) | 128)
    length.push(left)
  }
  return Buffer.concat([Buffer.from(length), bytes])
}

export function get(path: string, ...more: (readonly [string, string])[]): Buffer {
  return fieldBlock([
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'gateway.test'],
    [':path', path],
    ...more,
  ])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** One end of a connection. */
export class FramePeer implements AsyncDisposable {
  readonly socket: net.Socket
  readonly frames: Frame[] = []
  /** Fulfilled when the connection is over, however. */
  readonly closed: Promise<void>
  #received = Buffer.alloc(0)
  #wake: (() => void) | undefined
  #isClosed = false

  /** `skipped`: bytes that come before the first frame. */
  constructor(socket: net.Socket, skipped = 0) {
    let toSkip = skipped
    this.socket = socket
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true
        this.#wake?.()
        resolve()
      })
    })
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk.subarray(toSkip)])
      toSkip -= Math.min(toSkip, chunk.length)
      for (;;) {
        if (this.#received.length < 9) break
        const end = 9 + this.#received.readUIntBE(0, 3)
        if (this.#received.length < end) break
        this.frames.push({
          type: this.#received[3] as number,
          flags: this.#received[4] as number,
          stream: this.#received.readUInt32BE(5),
          payload: this.#received.subarray(9, end),
        })
        this.#received = this.#received.subarray(end)
      }
      this.#wake?.()
    })
  }

  write(...frames: Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(frames))
  }

  /** The first frame, past or to come, that is like this; undefined when the connection is over without one. */
  async find(isWanted: (frame: Frame) => boolean): Promise<Frame | undefined> {
    await this.count(isWanted, 1)
    return this.frames.find(isWanted)
  }

  /** Waits for so many of them, or for the end of the connection. */
  async count(isWanted: (frame: Frame) => boolean, least: number): Promise<void> {
    while (!this.#isClosed && this.frames.filter(isWanted).length < least) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** The code of a GOAWAY that is an error. */
  async goneAway(): Promise<number | undefined> {
    const found = await this.find(
      ({ type, payload }) => type === GOAWAY && payload.readUInt32BE(4) !== 0,
    )
    return found?.payload.readUInt32BE(4)
  }

  /** The code of a stream's RST_STREAM. */
  async resetOf(stream: number): Promise<number | undefined> {
    const found = await this.find((one) => one.type === RST_STREAM && one.stream === stream)
    return found?.payload.readUInt32BE(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await this.closed
  }
}

/** Connects, and is through with the settings. */
export async function framePeer(
  port: number,
  settings: Buffer = Buffer.alloc(0),
): Promise<FramePeer> {
  const socket = net.connect({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  const peer = new FramePeer(socket)
  peer.write(PREFACE, frame(SETTINGS, 0, 0, settings))
  await peer.find(({ type, flags }) => type === SETTINGS && flags === 0)
  peer.write(frame(SETTINGS, ACK, 0))
  return peer
}
