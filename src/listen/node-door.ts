/** An address at which node accepts clients: TCP or a unix socket. */

import type { Server, Socket } from 'node:net'
import { isSpared } from '../relay/descriptor.ts'
import type { ConnectionPlaces } from './connection-places.ts'
import type { Door } from './door.ts'

/** `server` has just begun to listen, and has accepted nobody yet. */
export function openNodeDoor(
  server: Server,
  places: ConnectionPlaces,
  onSocket: (socket: Socket) => void,
): Door {
  // What cannot be accepted is no reason to end the process.
  server.on('error', () => {})
  let starved = 0
  server.on('connection', (socket) => {
    if (isSpared(socket)) {
      starved += 1
      socket.destroy()
    } else if (places.enter(socket)) onSocket(socket)
  })
  return {
    port: portOf(server),
    get refused() {
      return { full: 0, share: 0, address: '', starved }
    },
    lend: (socket) => places.lend(socket),
    adjust: () => {},
    close: () => void server.close(),
    // Node hands every client on as soon as it is connected.
    forget: () => {},
  }
}

/** Undefined for a unix socket. */
export function portOf(server: Server): number | undefined {
  const address = server.address()
  return address === null || typeof address === 'string' ? undefined : address.port
}
