/**
 * A plain TCP listener whose clients are accepted by the relay's engine. The head of their first request is read here; a
 * connection becomes a socket of node's only where the request needs one.
 */

import type { AddressInfo, Server, Socket } from 'node:net'
import { Refusal } from '../errors.ts'
import { RequestHeadReader, type ReadRequest } from '../http1/request-head.ts'
import type {
  Accepting,
  Acceptor,
  HeldConnection,
  HeldListener,
  NotAccepted,
} from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { endedEarly } from './http1-connection.ts'

export interface DoorOptions extends DoorLimits {
  readonly highWaterMark: number
}

/** What a reload may change. */
interface DoorLimits {
  readonly headTimeoutMs: number
  readonly headBytesMax: number
  readonly connectionsMax: number
  readonly shareMax: number
  readonly exempt: Uint8Array
}

/** What becomes of a client. */
export interface DoorHandlers {
  /** Whether a client that begins with `text` (latin1) does not, or may not, speak HTTP/1: its bytes are for node's socket then. */
  isForNode(text: string): boolean
  /** That socket, with what was read put back. */
  onSocket(socket: Socket): void
  /** The client's first request; `ended` tells of the FIN behind it. */
  onRequest(connection: HeldConnection, request: ReadRequest, ended: boolean): void
  /** Its head cannot be read, or takes too long. */
  onRefused(connection: HeldConnection, refusal: Refusal): void
}

/** Where clients come in, whoever accepts them. */
export interface Door {
  /** As bound; undefined for a unix socket. */
  readonly port: number | undefined
  /** Clients that it has not taken, besides those that `ConnectionPlaces` counts. */
  readonly refused: NotAccepted
  /** See `Side`. */
  readonly lend: ((socket: RelaySocket) => () => void) | undefined
  /** The limits hold for clients from now on; nobody is closed for a lower one. */
  adjust(limits: DoorLimits): void
  /** Accepts no more. */
  close(): void
  /** Knows nobody any more: whoever says something now, and was connected before, is closed. */
  forget(): void
}

/** `server` has just begun to listen, and is closed: its descriptor is taken over. Throws when that fails. */
export function openDoor(
  server: Server,
  acceptor: Acceptor,
  options: DoorOptions,
  handlers: DoorHandlers,
): Door {
  const { port } = server.address() as AddressInfo
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } }
  const owner: Owner = { limits: options, handlers }
  let accepting: Accepting
  try {
    accepting = acceptor.accept(
      { ...options, fd: handle.fd },
      (connection) => new Heard(connection, owner),
    )
  } finally {
    server.close()
  }
  // An engine that waits for clients keeps no process alive by itself.
  const alive = setInterval(() => {}, TIMER_MAX_MS)
  return {
    port,
    get refused() {
      return accepting.refused
    },
    // The engine counts its clients itself, those whose sockets have become node's as well.
    lend: undefined,
    adjust: (next) => {
      owner.limits = next
      accepting.adjust(next)
    },
    close: () => {
      clearInterval(alive)
      accepting.stop()
    },
    forget: () => {
      owner.handlers = undefined
    },
  }
}

/** The engine remembers its doors for as long as it runs, and with them no more than this. */
interface Owner {
  limits: DoorLimits
  handlers: DoorHandlers | undefined
}

/** A client of which no whole head is there yet. */
class Heard implements HeldListener {
  readonly #connection: HeldConnection
  readonly #owner: Owner
  readonly #reader = new RequestHeadReader()
  #text = ''

  constructor(connection: HeldConnection, owner: Owner) {
    this.#connection = connection
    this.#owner = owner
  }

  onText(text: string, fin: boolean): void {
    const { handlers, limits } = this.#owner
    if (handlers === undefined) {
      this.#connection.close()
      return
    }
    this.#text = this.#text === '' ? text : this.#text + text
    if (handlers.isForNode(this.#text)) {
      const socket = this.#connection.toSocket()
      socket.unshift(Buffer.from(this.#text, 'latin1'))
      handlers.onSocket(socket)
      return
    }
    const read = this.#reader.push(text, limits.headBytesMax)
    if (read instanceof Refusal) handlers.onRefused(this.#connection, read)
    else if (read !== 'more') handlers.onRequest(this.#connection, read, fin)
    else if (fin) handlers.onRefused(this.#connection, endedEarly())
    else this.#connection.hear()
  }

  onLate(): void {
    const refusal = new Refusal('E_HEAD_TIMEOUT', { cause: 'no whole head' })
    this.#owner.handlers?.onRefused(this.#connection, refusal)
    if (this.#owner.handlers === undefined) this.#connection.close()
  }

  /** It comes with the next part, or has come with the last one. */
  onFin(): void {}

  onReset(): void {
    this.#connection.close()
  }
}
