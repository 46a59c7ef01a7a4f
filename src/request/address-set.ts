/** Sets of IP addresses, for trusted proxies and allow-lists, and the one spelling in which addresses are compared. */

import { BlockList, SocketAddress, isIPv4, isIPv6 } from 'node:net'

export interface AddressSet {
  /** `ip` in any spelling; the empty text stands for the peer of a unix socket. What is no address is in no set. */
  has(ip: string): boolean
}

/**
 * A set of single addresses and CIDR blocks; the word `unix` stands for every peer that comes over a unix socket.
 * IPv4 and IPv6 are apart: `::/0` holds no IPv4 address, while `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
 * Throws for what is no block: the configuration has been checked before.
 */
export function addressSet(blocks: readonly string[]): AddressSet {
  const list4 = new BlockList()
  const list6 = new BlockList()
  let holdsUnix = false
  for (const block of blocks) {
    if (block === 'unix') {
      holdsUnix = true
      continue
    }
    const { address, bits } = parseBlock(block)
    if (isIPv4(address)) list4.addSubnet(address, bits, 'ipv4')
    else list6.addSubnet(address, bits, 'ipv6')
  }
  if (blocks.length === 0) return emptySet
  return {
    has(ip) {
      if (ip === '') return holdsUnix
      const address = plainAddress(ip)
      if (address === undefined) return false
      return isIPv4(address) ? list4.check(address, 'ipv4') : list6.check(address, 'ipv6')
    },
  }
}

const emptySet: AddressSet = { has: () => false }

/** The spelling of `plainAddress`, and how many bits of it count. Throws for what is no block. */
export function parseBlock(block: string): { address: string; bits: number } {
  const slash = block.indexOf('/')
  const text = slash < 0 ? block : block.slice(0, slash)
  const bitsText = slash < 0 ? undefined : block.slice(slash + 1)
  const address = plainAddress(text)
  if (address === undefined) throw new TypeError(`not an address block: ${block}`)
  const is4 = isIPv4(address)
  const bitsMax = isIPv4(text) ? 32 : 128
  const bits = bitsText === undefined ? bitsMax : Number(bitsText)
  if (bitsText !== undefined && (!/^\d{1,3}$/.test(bitsText) || bits > bitsMax)) {
    throw new TypeError(`not an address block: ${block}`)
  }
  if (!is4 || bitsMax === 32) return { address, bits }
  // The first 96 bits of a mapped address are the mapping; a shorter block is one of IPv6.
  return bits >= 96 ? { address, bits: bits - 96 } : { address: text, bits }
}

const MAPPED = '::ffff:'

/**
 * The one spelling of an address: IPv4-mapped as IPv4, IPv6 compressed and in lower case (RFC 5952), without brackets
 * and zone. Undefined for what is no IP address.
 */
export function plainAddress(text: string): string | undefined {
  if (isIPv4(text)) return text
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (!isIPv6(bare)) return undefined
  const zone = bare.indexOf('%')
  const address = zone < 0 ? bare : bare.slice(0, zone)
  // What the kernel reports for IPv4 peers of a dual-stack listener; the general way below costs ten times as much.
  if (address.startsWith(MAPPED)) {
    const mapped = address.slice(MAPPED.length)
    if (isIPv4(mapped)) return mapped
  }
  const compressed = new SocketAddress({ address, family: 'ipv6' }).address
  if (!compressed.startsWith(MAPPED)) return compressed
  const mapped = compressed.slice(MAPPED.length)
  return isIPv4(mapped) ? mapped : compressed
}
