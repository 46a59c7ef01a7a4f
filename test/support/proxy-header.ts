/** Headers of the PROXY protocol, version 2, made by hand from its text. */

export interface BinaryHeader {
  /** Version and command. */
  readonly start?: number
  /** Family and transport. */
  readonly family?: number
  readonly addresses?: readonly number[] | Buffer
  readonly values?: readonly Buffer[]
  /** What it says of its length; the true one when left out. */
  readonly length?: number
}

export const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** 192.0.2.7:4660 to 198.51.100.9:443. */
export const IPV4 = [192, 0, 2, 7, 198, 51, 100, 9, 0x12, 0x34, 1, 187]

export function binaryHeader({
  start = 0x21,
  family = 0x11,
  addresses = IPV4,
  values = [],
  length,
}: BinaryHeader = {}): Buffer {
  const rest = Buffer.concat([Buffer.from(addresses), ...values])
  const bytes = Buffer.alloc(16)
  SIGNATURE.copy(bytes)
  bytes.writeUInt8(start, 12)
  bytes.writeUInt8(family, 13)
  bytes.writeUInt16BE(length ?? rest.length, 14)
  return Buffer.concat([bytes, rest])
}

export function typeLengthValue(type: number, value: string | Buffer | readonly number[]): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(value)
  return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 255]), bytes])
}
