/** What a thread needs of a socket of node's to have it: its descriptor, and what was read of it already. */

import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { clientDescriptors } from '../descriptors.ts'
import type { RelaySocket, Side } from './relay.ts'

/** Of a plain socket of node's that nothing waits to be written to; `undefined` for every other one. */
export function descriptorOf(socket: RelaySocket): number | undefined {
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return undefined
  if (socket.writableLength > 0 || socket.writableEnded) return undefined
  const fd = numberOf(socket)
  return fd < 0 ? undefined : fd
}

/** Whether a socket, just accepted or connected, has a descriptor that is not for clients and endpoints. */
export function isSpared(socket: Socket): boolean {
  const below = clientDescriptors()
  return below !== undefined && numberOf(socket) >= below
}

function numberOf(socket: Socket): number {
  // Node has no public name for it.
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } }
  return handle?.fd ?? -1
}

/** What was read too early of a side, by others or by node itself, as latin1. `held` is its text where it is no socket. */
export function unreadText(side: Side, held: { readonly rest: string } | undefined): string {
  if (held !== undefined) return held.rest
  let text = ''
  for (const chunk of side.unread) text += chunk.toString('latin1')
  const { socket } = side
  while (socket.readableLength > 0) text += (socket.read() as Buffer).toString('latin1')
  return text
}

/** A side of which all that was read too early is `text`, latin1. */
export function withUnread({ socket, ended, lend }: Side, text: string): Side {
  return { socket, ended, lend, unread: [Buffer.from(text, 'latin1')] }
}
