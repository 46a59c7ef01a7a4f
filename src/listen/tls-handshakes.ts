/**
 * The TLS handshakes of a listener: how many are in progress, of how many that may be in all and of one address, and what
 * became of the others. One begins with its ClientHello: before that, a connection costs no more than one of plain HTTP.
 */

import type { Socket } from 'node:net'
import { RefusedCount, SharedLimit, type Place, type Refused } from '../share.ts'
import type { KeyOf } from './connection-places.ts'

export interface HandshakeCounts {
  readonly full: number
  readonly resumed: number
  readonly failed: number
  /** Closed since too many were in progress. */
  readonly refused: number
}

export class Handshakes {
  readonly #limit = new SharedLimit(Infinity)
  readonly #keyOf: KeyOf
  readonly #refused = new RefusedCount()
  readonly #ended = { full: 0, resumed: 0, failed: 0 }
  readonly #inProgress = new WeakMap<Socket, Place>()

  constructor(keyOf: KeyOf) {
    this.#keyOf = keyOf
  }

  /** How many may be in progress. */
  set max(max: number) {
    this.#limit.max = max
  }

  get counts(): HandshakeCounts {
    const { full, share } = this.#refused
    return { ...this.#ended, refused: full + share }
  }

  get refused(): Refused {
    return this.#refused
  }

  /** The ClientHello is there. False where the handshake must not begin: that is counted as well. */
  begin(socket: Socket): boolean {
    const place = this.#limit.take(this.#keyOf(socket))
    if (typeof place === 'string') {
      this.#refused.add(place, socket.remoteAddress ?? '')
      return false
    }
    this.#inProgress.set(socket, place)
    // A place that is not given back is lost for good: the end of the connection does it in any case.
    socket.once('close', () => this.#leave(socket))
    return true
  }

  /** Once for each connection that was not refused; one that has sent no ClientHello has failed. */
  end(socket: Socket | undefined, result: 'full' | 'resumed' | 'failed'): void {
    this.#ended[result] += 1
    if (socket !== undefined) this.#leave(socket)
  }

  #leave(socket: Socket): void {
    this.#inProgress.get(socket)?.leave()
    this.#inProgress.delete(socket)
  }
}
