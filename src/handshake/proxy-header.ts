/**
 * The header of the PROXY protocol (HAProxy's proxy-protocol.txt) that an endpoint gets first on a connection: for which
 * client it is, so that it need not look into a request for it.
 */

import { isIPv4 } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Endpoint } from '../balance/endpoint.ts'
import { plainAddress } from '../request/address-set.ts'
import type { RequestFacts } from '../request/facts.ts'

/** What sockets know of themselves; `Duplex` for those that know nothing. */
type ClientSocket = Duplex & {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  /** Of a stream of HTTP/2: the connection below it. */
  readonly transport?: Duplex | undefined
}

interface Ends {
  readonly family: 4 | 6
  readonly from: string
  readonly fromPort: number
  readonly to: string
  readonly toPort: number
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const PROXY = 0x21
const TCP4 = 0x11
const TCP6 = 0x21
const UNSPECIFIED = 0

const AUTHORITY = 0x02
const SSL = 0x20
const SSL_VERSION = 0x21
const SSL_CN = 0x22
/** X.509 has 64; what is much longer is no name. */
const NAME_CHARS_MAX = 255

const CLIENT_SSL = 1
const CLIENT_CERT_CONN = 2
const CLIENT_CERT_SESS = 4

type ClientFacts = Pick<RequestFacts, 'clientIp' | 'certificate'>

/** What goes out first to `endpoint` for a client; undefined where it wants nothing. `socket` is asked for where it does. */
export function prefaceFor(
  { proxyProtocol }: Endpoint,
  facts: ClientFacts,
  socket: () => Duplex,
): Buffer | undefined {
  if (proxyProtocol === undefined) return undefined
  const own: ClientSocket = socket()
  const connection = own.transport ?? own
  return proxyProtocol === 'v1' ? lineOf(facts, connection) : binaryOf(facts, connection)
}

function lineOf({ clientIp }: ClientFacts, socket: ClientSocket): Buffer {
  const ends = endsOf(clientIp, socket)
  if (ends === undefined) return Buffer.from('PROXY UNKNOWN\r\n')
  const { family, from, to, fromPort, toPort } = ends
  return Buffer.from(`PROXY TCP${family} ${from} ${to} ${fromPort} ${toPort}\r\n`)
}

function binaryOf(facts: ClientFacts, socket: ClientSocket): Buffer {
  const ends = endsOf(facts.clientIp, socket)
  const rest = Buffer.concat([addresses(ends), ...secureValues(facts, socket)])
  const families = { 4: TCP4, 6: TCP6 }
  const fixed = Buffer.alloc(4)
  fixed.writeUInt8(PROXY, 0)
  fixed.writeUInt8(ends === undefined ? UNSPECIFIED : families[ends.family], 1)
  fixed.writeUInt16BE(rest.length, 2)
  return Buffer.concat([SIGNATURE, fixed, rest])
}

/** Undefined for a client without an address. Its port is 0 where another proxy has told of it, which knows it alone. */
function endsOf(clientIp: string, socket: ClientSocket): Ends | undefined {
  if (clientIp === '') return undefined
  const isPeer = plainAddress(socket.remoteAddress ?? '') === clientIp
  const family = isIPv4(clientIp) ? 4 : 6
  const to = plainAddress(socket.localAddress ?? '')
  const isSameFamily = to !== undefined && isIPv4(to) === (family === 4)
  return {
    family,
    from: clientIp,
    fromPort: isPeer ? (socket.remotePort ?? 0) : 0,
    // Both are of one family, and the client's counts: everybody goes by that.
    to: isSameFamily ? to : family === 4 ? '0.0.0.0' : '::',
    toPort: socket.localPort ?? 0,
  }
}

function addresses(ends: Ends | undefined): Buffer {
  if (ends === undefined) return Buffer.alloc(0)
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(ends.fromPort, 0)
  ports.writeUInt16BE(ends.toPort, 2)
  return Buffer.concat([bytesOf(ends.from), bytesOf(ends.to), ports])
}

/** Of an address in the spelling of `plainAddress`. */
function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const bytes = Buffer.alloc(16)
  const [head = '', tail = ''] = address.split('::')
  const first = groupsOf(head)
  const last = groupsOf(tail)
  Buffer.from(first).copy(bytes)
  Buffer.from(last).copy(bytes, bytes.length - last.length)
  return bytes
}

/** The bytes of groups with colons between them; the last one may be IPv4. */
function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}

/** What the client has said in its handshake of TLS. A certificate that was not verified is none: not everybody reads the bits. */
function secureValues({ certificate }: ClientFacts, socket: Duplex): Buffer[] {
  if (!(socket instanceof TLSSocket)) return []
  // Typed for clients: a server has the name that was asked for, or false.
  const { servername } = socket as TLSSocket & { readonly servername?: string | false }
  const authority = typeof servername === 'string' ? [typeLengthValue(AUTHORITY, servername)] : []
  const verified = certificate !== undefined && 'subject' in certificate ? certificate : undefined
  const ofConnection = socket.isSessionReused() ? 0 : CLIENT_CERT_CONN
  const state = Buffer.alloc(5)
  state.writeUInt8(CLIENT_SSL | (verified === undefined ? 0 : ofConnection | CLIENT_CERT_SESS), 0)
  state.writeUInt32BE(verified === undefined ? 1 : 0, 1)
  const version = socket.getProtocol()
  const name = verified?.commonName ?? ''
  const isName = name !== '' && name.length <= NAME_CHARS_MAX
  const values = [
    ...(version === null ? [] : [typeLengthValue(SSL_VERSION, version)]),
    ...(isName ? [typeLengthValue(SSL_CN, name)] : []),
  ]
  return [...authority, typeLengthValue(SSL, Buffer.concat([state, ...values]))]
}

function typeLengthValue(type: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string)
  const head = Buffer.alloc(3)
  head.writeUInt8(type, 0)
  head.writeUInt16BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}
