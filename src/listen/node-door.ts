/** An address at which node accepts clients: TCP or a unix socket. */

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { Address } from '../config/config.ts'
import type { Door } from './door.ts'

/** TCP keepalive on client connections: finds peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 60_000

export interface NodeDoorOptions {
  readonly address: Address
  readonly connectionsMax: number
  readonly highWaterMark: number
}

/** Binds. Rejects with node's error (EADDRINUSE, EACCES, ...) when that fails. */
export async function openNodeDoor(
  { address, connectionsMax, highWaterMark }: NodeDoorOptions,
  onSocket: (socket: Socket) => void,
): Promise<Door> {
  const options = {
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
    highWaterMark,
  }
  const server = net.createServer(options, onSocket)
  server.listen(
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
  )
  await once(server, 'listening')
  return new NodeDoor(server, connectionsMax)
}

class NodeDoor implements Door {
  readonly port: number | undefined
  readonly #server: net.Server
  #connectionsMax: number
  #lent = 0

  constructor(server: net.Server, connectionsMax: number) {
    const address = server.address()
    this.port = typeof address === 'string' ? undefined : (address as AddressInfo).port
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
