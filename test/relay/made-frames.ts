/** Frames as peers send them, also such as RFC 6455 forbids. */

export interface MadeFrame {
  /** The last of its message; the default. */
  readonly isFinal?: boolean
  readonly rsv?: number
  /** Which length is written: by itself the shortest one that there is. */
  readonly lengthBytes?: 0 | 2 | 8
  /** In place of the payload's. */
  readonly length?: bigint
  /** Undefined for no mask. */
  readonly key?: Buffer | undefined
}

export const CONTINUATION = 0
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

const KEY = Buffer.of(0x37, 0xfa, 0x21, 0x3d)

export function madeFrame(opcode: number, payload: Buffer | string, made: MadeFrame = {}): Buffer {
  const { isFinal = true, rsv = 0, key } = made
  const bytes = Buffer.from(payload)
  const length = made.length ?? BigInt(bytes.length)
  const { lengthBytes = length < 126n ? 0 : length < 65_536n ? 2 : 8 } = made
  const header = Buffer.alloc(2 + lengthBytes)
  header[0] = (isFinal ? 0x80 : 0) | (rsv << 4) | opcode
  header[1] =
    (key === undefined ? 0 : 0x80) | [Number(length), 0, 126, 0, 0, 0, 0, 0, 127][lengthBytes]!
  if (lengthBytes === 2) header.writeUInt16BE(Number(length), 2)
  if (lengthBytes === 8) header.writeBigUInt64BE(length, 2)
  return Buffer.concat([header, key ?? Buffer.alloc(0), masked(bytes, key)])
}

/** As a client sends it. */
export function upFrame(
  opcode: number,
  payload: Buffer | string = '',
  made: MadeFrame = {},
): Buffer {
  return madeFrame(opcode, payload, { key: KEY, ...made })
}

/** As an upstream sends it. */
export function downFrame(
  opcode: number,
  payload: Buffer | string = '',
  made: MadeFrame = {},
): Buffer {
  return madeFrame(opcode, payload, made)
}

/** What a Close frame has in it. */
export function closePayload(code: number, text = ''): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(text)])
}

/** Masks, and unmasks. */
export function masked(bytes: Buffer, key: Buffer | undefined): Buffer {
  if (key === undefined) return bytes
  return Buffer.from(bytes.map((byte, index) => byte ^ (key[index % 4] as number)))
}
