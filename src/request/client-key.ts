/** Turns a client's address into the key under which its requests and tunnels are counted. */

import { isIPv6 } from 'node:net'

/**
 * The key that a client is counted under: an IPv4 address as it is, an IPv6 address cut to its /64. A single IPv6
 * host is given a whole /64 and may speak from any of its 2^64 addresses, so a count per address would limit nobody.
 * Addresses under 64:ff9b::/32 count whole: there a translator has put IPv4 clients into IPv6 (RFC 6052, RFC 8215),
 * and the first 64 bits are the same for all of them. A peer without an address (unix socket) has the empty key.
 */
export function clientKey(clientIp: string): string {
  if (!clientIp.includes(':') || !isIPv6(clientIp)) return clientIp
  const groups = groupsOf(clientIp)
  const isTranslated = groups[0] === '64' && groups[1] === 'ff9b'
  return isTranslated ? groups.join(':') : `${groups.slice(0, 4).join(':')}::/64`
}

/** The groups of a valid IPv6 address, in lower case without leading zeros; a dotted quad stays one item at the end. */
function groupsOf(ip: string): string[] {
  const zone = ip.indexOf('%')
  const address = (zone === -1 ? ip : ip.slice(0, zone)).toLowerCase()
  const gap = address.indexOf('::')
  if (gap === -1) return address.split(':').map(withoutLeadingZeros)
  const before = address.slice(0, gap).split(':')
  const after = address.slice(gap + 2).split(':')
  const known = [...before, ...after].filter((group) => group !== '')
  const size = known.length + (known.at(-1)?.includes('.') === true ? 1 : 0)
  const zeros = Array.from({ length: 8 - size }, () => '0')
  return [...before, ...zeros, ...after].filter((group) => group !== '').map(withoutLeadingZeros)
}

function withoutLeadingZeros(group: string): string {
  return group.includes('.') ? group : Number.parseInt(group, 16).toString(16)
}
