/** Control frames of the gateway's own (RFC 6455 5.5). Those to an upstream are masked, as those of every client. */

import { randomBytes } from 'node:crypto'
import type { CloseFrame } from './tunnel-policy.ts'

const FINAL_CLOSE = 0x88
const FINAL_PING = 0x89
const MASK_BIT = 0x80
const MASK_BYTES = 4

/** Of the pings of this process: the pongs to them are known by it, and no peer guesses it. */
export const pingPayload: Buffer = randomBytes(8)

/** `payload` is that of the ping, and of the pong to it. */
export function pingFrame(isMasked: boolean, payload: Uint8Array = pingPayload): Buffer {
  return controlFrame(FINAL_PING, payload, isMasked)
}

export function closeFrame({ code, text }: CloseFrame, isMasked: boolean): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(text))
  payload.writeUInt16BE(code)
  payload.write(text, 2)
  return controlFrame(FINAL_CLOSE, payload, isMasked)
}

function controlFrame(first: number, payload: Uint8Array, isMasked: boolean): Buffer {
  if (!isMasked) return Buffer.concat([Buffer.of(first, payload.length), payload])
  // RFC 6455 5.3: a fresh key for each frame, that nobody can foresee.
  const key = randomBytes(MASK_BYTES)
  const masked = payload.map((byte, index) => byte ^ (key[index % MASK_BYTES] as number))
  return Buffer.concat([Buffer.of(first, MASK_BIT | payload.length), key, masked])
}
