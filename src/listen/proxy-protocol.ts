/**
 * Reads the header of the PROXY protocol, versions 1 and 2, out of the first bytes of a connection (HAProxy's
 * proxy-protocol.txt). A proxy in front says with it whose connection it passes on. What is wrong in it is refused, never
 * repaired; no byte beyond it is looked at.
 */

import { isIPv4, isIPv6 } from 'node:net'
import { plainAddress } from '../request/address-set.ts'
import { crc32c } from './crc32c.ts'

/** A client, and the address that it has connected to. */
interface ProxiedEnds {
  /** In the spelling of `plainAddress`. */
  readonly peerAddress: string
  readonly peerPort: number
  readonly localAddress: string
  readonly localPort: number
}

export interface ProxyHeader {
  /** Its length; what follows is the client's. */
  readonly bytes: number
  /** `own`: the proxy speaks for itself (LOCAL). `unknown`: it passes on a connection without an address to tell. */
  readonly client: ProxiedEnds | 'own' | 'unknown'
}

/** What is no header though it begins as one. */
export interface BrokenHeader {
  readonly broken: string
}

/** Of a header of version 2 with all that is in it; those that are sent have some hundred. */
export const HEADER_BYTES_MAX = 4096

const LINE_START = Buffer.from('PROXY ')
const LINE_BYTES_MAX = 107
const CR = 0x0d
const LF = 0x0a

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const FIXED_BYTES = 16
const LOCAL = 0
const PROXY = 1
/** Of UDP as well: its addresses are the same. */
const TRANSPORT_MAX = 2
const INET = 1
const INET6 = 2
/** How long the addresses are, by the family: unspecified, IPv4, IPv6, unix. */
const ADDRESS_BYTES = [0, 12, 36, 216]
const TLV_HEAD_BYTES = 3
const TLV_CRC32C = 3
const CRC_BYTES = 4

/** `more` while it may become one, and `none` for the bytes of a client that begins by itself. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | BrokenHeader | 'more' | 'none' {
  if (beginsAs(bytes, SIGNATURE)) return readBinary(bytes)
  if (beginsAs(bytes, LINE_START)) return readLine(bytes)
  return 'none'
}

/** Whether they are the same as far as both go. */
function beginsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

function readLine(bytes: Buffer): ProxyHeader | BrokenHeader | 'more' {
  const within = bytes.subarray(0, LINE_BYTES_MAX)
  const end = within.findIndex((byte) => byte === CR || byte === LF)
  const isOpen = end === -1 || (within[end] === CR && end === within.length - 1)
  if (isOpen) {
    if (within.length < LINE_BYTES_MAX) return 'more'
    return { broken: `a line of more than ${LINE_BYTES_MAX} bytes` }
  }
  if (within[end] === LF || within[end + 1] !== LF) {
    return { broken: 'a line that does not end in CRLF' }
  }
  if (end < LINE_START.length) return { broken: 'a line without a family' }
  const client = readWords(within.toString('latin1', LINE_START.length, end).split(' '))
  if (typeof client === 'object' && 'broken' in client) return client
  return { bytes: end + 2, client }
}

function readWords(words: readonly string[]): ProxiedEnds | 'unknown' | BrokenHeader {
  const [family, peer = '', local = '', peerPort, localPort] = words
  // What stands behind it is not to be looked at.
  if (family === 'UNKNOWN') return 'unknown'
  if (family !== 'TCP4' && family !== 'TCP6') {
    return { broken: 'a family that is none of TCP4, TCP6 and UNKNOWN' }
  }
  const from = readPort(peerPort)
  const to = readPort(localPort)
  if (words.length !== 5 || from === undefined || to === undefined) {
    return { broken: 'a line without two addresses and two ports' }
  }
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6
  if (!isAddress(peer) || !isAddress(local))
    return { broken: `addresses that are none of ${family}` }
  return endsOf(peer, from, local, to)
}

/** A zone has no meaning beyond its machine. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65_535 ? port : undefined
}

function readBinary(bytes: Buffer): ProxyHeader | BrokenHeader | 'more' {
  if (bytes.length < FIXED_BYTES) return 'more'
  const [version, command] = nibbles(bytes, 12)
  const [family, transport] = nibbles(bytes, 13)
  if (version !== 2) return { broken: `version ${version}` }
  if (command !== LOCAL && command !== PROXY) return { broken: `the command ${command}` }
  const end = FIXED_BYTES + bytes.readUInt16BE(14)
  if (end > HEADER_BYTES_MAX) return { broken: `a header of more than ${HEADER_BYTES_MAX} bytes` }
  if (bytes.length < end) return 'more'
  // All that follows belongs to no connection, and is not to be looked at.
  if (command === LOCAL) return { bytes: end, client: 'own' }
  const addressBytes = ADDRESS_BYTES[family]
  if (addressBytes === undefined || transport > TRANSPORT_MAX) {
    return { broken: `the family ${family} over the transport ${transport}` }
  }
  const header = bytes.subarray(0, end)
  if (FIXED_BYTES + addressBytes > end) return { broken: 'addresses that end early' }
  const broken = brokenValues(header, FIXED_BYTES + addressBytes)
  if (broken !== undefined) return { broken }
  const isKnown = transport !== 0 && (family === INET || family === INET6)
  return { bytes: end, client: isKnown ? readAddresses(header, addressBytes) : 'unknown' }
}

function nibbles(bytes: Buffer, at: number): [high: number, low: number] {
  const byte = bytes.readUInt8(at)
  return [byte >> 4, byte & 15]
}

/** Two addresses, and behind them their ports. */
function readAddresses(header: Buffer, addressBytes: number): ProxiedEnds {
  const length = addressBytes / 2 - 2
  const local = FIXED_BYTES + length
  const ports = local + length
  return endsOf(
    formatAddress(header.subarray(FIXED_BYTES, local)),
    header.readUInt16BE(ports),
    formatAddress(header.subarray(local, ports)),
    header.readUInt16BE(ports + 2),
  )
}

function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return groups.join(':')
}

/** What is wrong with the type-length-values from `start` on, or undefined. Of types that have no meaning here only the length is looked at. */
function brokenValues(header: Buffer, start: number): string | undefined {
  let at = start
  while (at < header.length) {
    if (at + TLV_HEAD_BYTES > header.length) return 'a value that ends early'
    const value = at + TLV_HEAD_BYTES
    const end = value + header.readUInt16BE(at + 1)
    if (end > header.length) return 'a value that ends early'
    if (header[at] === TLV_CRC32C) {
      if (end - value !== CRC_BYTES) return 'a checksum that is none'
      // Its own bytes count as zero.
      const rest = [header.subarray(0, value), Buffer.alloc(CRC_BYTES), header.subarray(end)]
      if (crc32c(rest) !== header.readUInt32BE(value)) return 'a wrong checksum'
    }
    at = end
  }
  return undefined
}

function endsOf(peer: string, peerPort: number, local: string, localPort: number): ProxiedEnds {
  return {
    peerAddress: plainAddress(peer) ?? peer,
    peerPort,
    localAddress: plainAddress(local) ?? local,
    localPort,
  }
}
