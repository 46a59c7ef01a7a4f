/** An endpoint that speaks HTTP/2 by the byte: what no server would do, it can. */

import { once } from 'node:events'
import net from 'node:net'
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  FramePeer,
  HEADERS,
  PREFACE,
  SETTINGS,
  uint32,
  type Frame,
} from './http2-frames.ts'

/** SETTINGS_ENABLE_CONNECT_PROTOCOL: 1 */
const CONNECT_PROTOCOL = setting(8, 1)

export interface FrameEndpoint extends AsyncDisposable {
  readonly port: number
  /** Connections in their order. */
  readonly peers: readonly FramePeer[]
  /** The next one that no call has returned yet. */
  next(): Promise<FramePeer>
}

export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)])
}

/** Each connection begins with `settings` and their acknowledgement; a silent one says nothing. */
export async function frameEndpoint(
  settings: Buffer | 'silent' = CONNECT_PROTOCOL,
): Promise<FrameEndpoint> {
  const peers: FramePeer[] = []
  const waiting: ((peer: FramePeer) => void)[] = []
  let taken = 0
  const hand = (): void => {
    const peer = peers[taken]
    if (peer === undefined || waiting.length === 0) return
    taken += 1
    waiting.shift()?.(peer)
  }
  const server = net.createServer((socket) => {
    const peer = new FramePeer(socket, PREFACE.length)
    peers.push(peer)
    if (settings !== 'silent') {
      peer.write(frame(SETTINGS, 0, 0, settings), frame(SETTINGS, ACK, 0))
    }
    hand()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    peers,
    next: () => {
      const { promise, resolve } = Promise.withResolvers<FramePeer>()
      waiting.push(resolve)
      hand()
      return promise
    },
    async [Symbol.asyncDispose]() {
      server.close()
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()))
    },
  }
}

/** The HEADERS of the request that comes after `before` others on the connection. */
export async function requestOn(peer: FramePeer, before = 0): Promise<Frame> {
  const isRequest = ({ type }: Frame): boolean => type === HEADERS
  await peer.count(isRequest, before + 1)
  return peer.frames.filter(isRequest)[before] as Frame
}

type Field = readonly [name: string, value: string]

/** HEADERS of an answer. */
export function answer(stream: number, fields: readonly Field[], flags = 0): Buffer {
  return frame(HEADERS, END_HEADERS | flags, stream, fieldBlock(fields))
}

/** HEADERS of an answer without a body. */
export function wholeAnswer(stream: number, fields: readonly Field[]): Buffer {
  return answer(stream, fields, END_STREAM)
}
