/**
 * A plain TCP listener whose clients are accepted by the relay's engine. An ordinary handshake is decided on by its head
 * alone; every other client becomes a socket of node's, with all that it has sent, before anything is answered.
 */

import type { AddressInfo, Server, Socket } from 'node:net'
import type {
  Accepting,
  Acceptor,
  HeldConnection,
  HeldListener,
  NotAccepted,
} from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { readHandshakeHead, type HandshakeHead } from './handshake-head.ts'

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
  /** Whether clients begin with TLS or a PROXY header: nothing is read of them here then. */
  isForNode(): boolean
  /** An ordinary handshake; false when it is for the parser all the same. `ended` tells of its FIN. */
  handshake(connection: HeldConnection, heard: HandshakeHead, ended: boolean): boolean
  /** For node's parser, with what it has sent so far. */
  parse(socket: Socket): void
  /** Its head took too long. */
  late(socket: Socket): void
}

/** Where clients come in, whoever accepts them. */
export interface Door {
  /** As bound; undefined for a unix socket. */
  readonly port: number | undefined
  /** Clients that it has not taken, besides those that `ConnectionPlaces` counts. */
  readonly refused: NotAccepted
  /** See `Arrival`. */
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
    if (handlers.isForNode()) {
      this.#parse(handlers)
      return
    }
    const heard = readHandshakeHead(this.#text, limits.headBytesMax)
    if (heard === 'more' && !fin) this.#connection.hear()
    else if (heard === undefined || heard === 'more') this.#parse(handlers)
    else if (!handlers.handshake(this.#connection, heard, fin)) this.#parse(handlers)
  }

  onLate(): void {
    const { handlers } = this.#owner
    if (handlers === undefined) this.#connection.close()
    else handlers.late(this.#connection.toSocket())
  }

  /** It comes with the next part, or has come with the last one. */
  onFin(): void {}

  onReset(): void {
    this.#connection.close()
  }

  #parse(handlers: DoorHandlers): void {
    const socket = this.#connection.toSocket()
    socket.unshift(Buffer.from(this.#text, 'latin1'))
    handlers.parse(socket)
  }
}
