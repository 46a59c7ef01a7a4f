/** A connection on a thread before it is a tunnel: a client's, an endpoint's, or both. */

import { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { HeldConnection, HeldListener } from './acceptor.ts'
import {
  CLIENT,
  EVENT_ANSWER,
  EVENT_ENDED,
  EVENT_FAILED,
  EVENT_FIN,
  EVENT_LATE,
  EVENT_REQUEST,
  EVENT_RESET,
  UPSTREAM,
  type RelayEvent,
} from './binding.ts'
import type { Dialed, DialListener } from './dialer.ts'
import type { Entry, NativeRelay } from './native.ts'
import type { RelaySocket, Side } from './relay.ts'

const kLeave = Symbol('upgate.leave')

/** A socket that was a held connection and counts as such until it is closed. */
type Counted = RelaySocket & { [kLeave]?: (() => void) | undefined }

/** The connection of `socket` goes on without it: it counts until the returned function is called. Undefined where nobody counts. */
export function lendPlace(socket: Counted): (() => void) | undefined {
  const leave = socket[kLeave]
  if (leave !== undefined) socket.off('close', leave)
  return leave
}

export interface NativeConnectionOptions {
  /** Of a socket that it becomes. */
  readonly highWaterMark: number
  /** Undefined for a dial without a client. */
  readonly peerAddress?: string
  /** Called at the end of a socket that the client became, with its address. */
  readonly leave?: ((peerAddress: string) => void) | undefined
}

export class NativeConnection implements HeldConnection, Entry {
  readonly id: number
  readonly peerAddress: string
  /** Of the client, as long as it is held. */
  listener: HeldListener | undefined
  readonly #relay: NativeRelay
  readonly #options: NativeConnectionOptions
  #hasClient: boolean
  /** Its number is somebody else's from now on, or will be. */
  #isOver = false
  #dialListener: DialListener | undefined

  constructor(relay: NativeRelay, id: number, options: NativeConnectionOptions) {
    this.#relay = relay
    this.id = id
    this.#options = options
    this.#hasClient = options.peerAddress !== undefined
    this.peerAddress = options.peerAddress ?? ''
  }

  hear(): void {
    this.#relay.binding.hear(this.#relay.handle, this.id)
  }

  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.listener = undefined
    this.#dialListener = undefined
    this.#relay.binding.close(this.#relay.handle, this.id, 2, 0, 0, 0, '')
  }

  toSocket(): Socket {
    const { leave } = this.#options
    this.listener = undefined
    this.#hasClient = false
    const socket: Socket & Counted = this.release(CLIENT)
    if (leave !== undefined) {
      const onClose = (): void => leave(this.peerAddress)
      socket[kLeave] = onClose
      socket.once('close', onClose)
    }
    return socket
  }

  side(rest: string, ended: boolean): Side {
    return new NativeSide(this, CLIENT, rest, ended)
  }

  /** The same connection, as who dials for it sees it. */
  dialed(listener: DialListener): Dialed {
    this.#dialListener = listener
    return {
      proceed: (refresh) => this.#relay.binding.proceed(this.#relay.handle, this.id, refresh),
      abandon: () => this.#abandon(),
      side: (rest, ended) => new NativeSide(this, UPSTREAM, rest, ended),
    }
  }

  #abandon(): void {
    if (this.#isOver) return
    this.#dialListener = undefined
    this.#relay.binding.drop(this.#relay.handle, this.id)
  }

  /** Makes one side a socket of node's. */
  release(side: typeof CLIENT | typeof UPSTREAM): Socket {
    const fd = this.#relay.binding.release(this.#relay.handle, this.id, side)
    const options = { fd, allowHalfOpen: true, highWaterMark: this.#options.highWaterMark }
    // An error must find somebody until the next owner listens.
    return new Socket(options).on('error', ignore)
  }

  onEvent(event: RelayEvent): void {
    switch (event[0]) {
      case EVENT_REQUEST:
        this.listener?.onText(event[2], event[3])
        break
      case EVENT_LATE:
        this.listener?.onLate()
        break
      case EVENT_FIN:
        this.listener?.onFin()
        break
      case EVENT_RESET:
        this.listener?.onReset()
        break
      case EVENT_ANSWER:
        this.#dialListener?.onAnswer(event[2], event[3])
        break
      case EVENT_FAILED:
        this.#onFailed(event[2], event[3], event[4])
        break
      case EVENT_ENDED:
        this.#isOver = true
        break
    }
  }

  #onFailed(stage: number, timedOut: boolean, errno: number): void {
    const listener = this.#dialListener
    this.#dialListener = undefined
    if (!this.#hasClient) {
      this.#isOver = true
      this.#relay.forget(this.id)
    }
    listener?.onFailed(stage === 0 ? 'connect' : 'answer', getSystemErrorName(-errno), timedOut)
  }
}

/** One side of a connection on a thread; it becomes a socket of node's only where somebody asks for one. */
export class NativeSide implements Side<Socket> {
  readonly ended: boolean
  readonly #connection: NativeConnection
  readonly #side: typeof CLIENT | typeof UPSTREAM
  readonly #rest: string
  #socket: Socket | undefined

  constructor(
    connection: NativeConnection,
    side: typeof CLIENT | typeof UPSTREAM,
    rest: string,
    ended: boolean,
  ) {
    this.#connection = connection
    this.#side = side
    this.#rest = rest
    this.ended = ended
  }

  /** Its number and what was read of it; undefined when it has become a socket. */
  get held(): { readonly id: number; readonly rest: string } | undefined {
    return this.#socket === undefined ? { id: this.#connection.id, rest: this.#rest } : undefined
  }

  get unread(): readonly Buffer[] {
    return this.#rest === '' ? [] : [Buffer.from(this.#rest, 'latin1')]
  }

  get socket(): Socket {
    this.#socket ??=
      this.#side === CLIENT ? this.#connection.toSocket() : this.#connection.release(UPSTREAM)
    return this.#socket
  }
}

function ignore(): void {}
