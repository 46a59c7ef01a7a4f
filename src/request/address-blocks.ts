/** Address blocks in binary, for code below JavaScript. */

import { isIPv4, SocketAddress } from 'node:net'
import { parseBlock } from './address-set.ts'

/** An IPv6 address, and how many of its first bits count. */
const BLOCK_BYTES = 17
const ADDRESS_BYTES = 16
const MAPPED_BITS = 96

/** 17 bytes for each of `blocks`, which are those of `addressSet`. IPv4 is mapped into IPv6; `unix` is left out. */
export function packBlocks(blocks: readonly string[]): Uint8Array {
  const inet = blocks.filter((block) => block !== 'unix')
  const packed = new Uint8Array(inet.length * BLOCK_BYTES)
  for (const [index, block] of inet.entries()) {
    const { address, bits } = parseBlock(block)
    const at = index * BLOCK_BYTES
    packed.set(bytesOf(address), at)
    packed[at + ADDRESS_BYTES] = isIPv4(address) ? MAPPED_BITS + bits : bits
  }
  return packed
}

function bytesOf(address: string): Uint8Array {
  const text = isIPv4(address)
    ? `::ffff:${address}`
    : new SocketAddress({ address, family: 'ipv6' }).address
  const [before = '', after] = text.split('::').map(withoutDots)
  const head = groupsOf(before)
  const tail = groupsOf(after ?? '')
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0)
  return Uint8Array.from([...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 255]))
}

/** The dotted quad that may stand at the end of an IPv6 address, as two groups. */
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}
