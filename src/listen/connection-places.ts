/** How many connections a listener may have, and each address of them. A connection holds its place until it is closed. */

import type { Socket } from 'node:net'
import type { RelaySocket } from '../relay/relay.ts'
import { RefusedCount, SharedLimit, type Place } from '../share.ts'

/** The key under which a client's connections count; undefined for peers that many clients come through. */
export type KeyOf = (socket: Socket) => string | undefined

interface Entered {
  readonly place: Place
  readonly onClose: () => void
}

export class ConnectionPlaces {
  readonly refused = new RefusedCount()
  readonly #limit: SharedLimit
  readonly #keyOf: KeyOf
  readonly #entered = new WeakMap<RelaySocket, Entered>()

  constructor(max: number, keyOf: KeyOf) {
    this.#limit = new SharedLimit(max)
    this.#keyOf = keyOf
  }

  /** For clients from now on; nobody is closed for a lower limit. */
  adjust(max: number): void {
    this.#limit.max = max
  }

  /** Gives a connection its place. False where there is none: it is closed then. */
  enter(socket: Socket): boolean {
    const place = this.#limit.take(this.#keyOf(socket))
    if (typeof place === 'string') return this.#refuse(socket, place)
    const onClose = (): void => place.leave()
    socket.once('close', onClose)
    this.#entered.set(socket, { place, onClose })
    return true
  }

  /** A proxy has told whose connection it is: it counts for that client from now on. False where that has its share: it is closed then. */
  announced(socket: Socket): boolean {
    const entered = this.#entered.get(socket)
    // Where the relay's engine accepts, it counts for the proxy there, and here for the client alone.
    if (entered === undefined) return this.enter(socket)
    return entered.place.moveTo(this.#keyOf(socket)) || this.#refuse(socket, 'share')
  }

  /** The connection goes on without its socket: it keeps its place until the returned function is called. */
  lend(socket: RelaySocket): () => void {
    const entered = this.#entered.get(socket)
    if (entered === undefined) return () => {}
    socket.off('close', entered.onClose)
    return entered.onClose
  }

  #refuse(socket: Socket, why: 'full' | 'share'): false {
    this.refused.add(why, socket.remoteAddress ?? '')
    socket.destroy()
    return false
  }
}
