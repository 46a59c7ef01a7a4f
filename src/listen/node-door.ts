/** An address at which node accepts clients: TCP or a unix socket. */

import type { Server, Socket } from 'node:net'
import type { Door } from './door.ts'

/** `server` has just begun to listen, and has accepted nobody yet. */
export function openNodeDoor(
  server: Server,
  connectionsMax: number,
  onSocket: (socket: Socket) => void,
): Door {
  server.on('connection', onSocket)
  return new NodeDoor(server, connectionsMax)
}

/** Undefined for a unix socket. */
export function portOf(server: Server): number | undefined {
  const address = server.address()
  return address === null || typeof address === 'string' ? undefined : address.port
}

class NodeDoor implements Door {
  readonly port: number | undefined
  readonly #server: Server
  #connectionsMax: number
  #lent = 0

  constructor(server: Server, connectionsMax: number) {
    this.port = portOf(server)
    this.#server = server
    this.#connectionsMax = connectionsMax
    this.#limit()
  }

  adjust({ connectionsMax }: { readonly connectionsMax: number }): void {
    this.#connectionsMax = connectionsMax
    this.#limit()
  }

  /** Node counts sockets; a connection that goes on without its socket takes a place off the limit instead. */
  readonly lend = (): (() => void) => {
    this.#lent += 1
    this.#limit()
    return () => {
      this.#lent -= 1
      this.#limit()
    }
  }

  close(): void {
    this.#server.close()
  }

  /** Node hands every client on as soon as it is connected. */
  forget(): void {}

  #limit(): void {
    this.#server.maxConnections = this.#connectionsMax - this.#lent
  }
}
