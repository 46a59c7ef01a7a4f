/** Capsules (RFC 9297 3.2), and a scripted UDP proxy of them (RFC 9298). */

import dgram from 'node:dgram'
import { once } from 'node:events'
import type { RawClient } from './raw-client.ts'

const DATAGRAM = 0
/** Payloads of UDP; others are for extensions. */
const UDP_CONTEXT = 0

export interface Capsule {
  readonly type: number
  readonly value: Buffer
}

export function capsule(type: number, value: Buffer): Buffer {
  return Buffer.concat([varint(type), varint(value.length), value])
}

/** The payload of one UDP packet. */
export function datagram(payload: Buffer): Buffer {
  return capsule(DATAGRAM, Buffer.concat([varint(UDP_CONTEXT), payload]))
}

/** RFC 9000 16, in the shortest form. */
function varint(value: number): Buffer {
  if (value < 0x40) return Buffer.from([value])
  if (value < 0x4000) return Buffer.from([0x40 | (value >> 8), value & 0xff])
  const four = Buffer.alloc(4)
  four.writeUInt32BE(value + 0x8000_0000)
  return four
}

export async function readCapsule(from: RawClient): Promise<Capsule> {
  const type = await readVarint(from)
  const length = await readVarint(from)
  return { type, value: Buffer.from(await from.bytes(length), 'latin1') }
}

async function readVarint(from: RawClient): Promise<number> {
  const first = (await from.bytes(1)).charCodeAt(0)
  const rest = Buffer.from(await from.bytes((1 << (first >> 6)) - 1), 'latin1')
  return rest.reduce((value, byte) => value * 256 + byte, first & 0x3f)
}

/** The payload of the next UDP packet; capsules of other types are passed over, as RFC 9297 3.2 asks. */
export async function readDatagram(from: RawClient): Promise<Buffer> {
  for (;;) {
    const { type, value } = await readCapsule(from)
    if (type === DATAGRAM && value[0] === UDP_CONTEXT) return value.subarray(1)
  }
}

const TARGET = /^GET \/\.well-known\/masque\/udp\/([^/]+)\/(\d+)\/ HTTP\/1\.1$/

/** Serves one connection: answers its request, and carries capsules to the UDP socket that it names and back, until it ends. */
export async function proxyUdp(connection: RawClient): Promise<void> {
  const { statusLine, fields } = await connection.head()
  const [, host, port] = TARGET.exec(statusLine) ?? []
  if (fields.get('upgrade') !== 'connect-udp' || fields.get('capsule-protocol') !== '?1') {
    connection.socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
    return
  }
  const socket = dgram.createSocket('udp4')
  socket.connect(Number(port), host)
  await once(socket, 'connect')
  socket.on('message', (payload) => connection.write(datagram(payload)))
  connection.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n',
  )
  while (await connection.more()) socket.send(await readDatagram(connection))
  socket.close()
  connection.socket.end()
}
