/** CRC-32C (Castagnoli, RFC 3720 B.4), which node's zlib does not have. */

const POLYNOMIAL = 0x82f63b78

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) {
    value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL
  }
  return value
})

/** Of all parts, one after the other. */
export function crc32c(parts: readonly Buffer[]): number {
  let value = 0xffffffff
  for (const part of parts) {
    for (const byte of part) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 255] as number)
  }
  return ~value >>> 0
}
