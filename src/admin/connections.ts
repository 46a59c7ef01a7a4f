/**
 * The connections to the admin address: so many in all, and a share for each address. Where a new one finds no place, the
 * one that has waited longest for its client gives way: it is silent, idle, in the middle of its request, or does not read
 * its answer. Only calls that the gateway is at work on stay. So probes and metrics are answered whatever others hold.
 */

import type { Socket } from 'node:net'
import { clientKey } from '../request/client-key.ts'
import { plainAddress } from '../request/address-set.ts'
import { SharedLimit, type Place } from '../share.ts'

/** Prometheus, a probe or two and some operators. */
const CONNECTIONS_MAX = 64

interface Waiting {
  /** Undefined for peers of a unix socket. */
  readonly key: string | undefined
  readonly place: Place
}

export class AdminConnections {
  readonly #limit = new SharedLimit(CONNECTIONS_MAX)
  readonly #open = new Map<Socket, Waiting>()
  /** Those that wait for their client, the longest first. */
  readonly #waiting = new Set<Socket>()

  /** A connection that has just been accepted. It is closed where none gives way. */
  enter(socket: Socket): void {
    const { remoteAddress } = socket
    const key =
      remoteAddress === undefined
        ? undefined
        : clientKey(plainAddress(remoteAddress) ?? remoteAddress)
    const place = this.#place(key)
    if (place === undefined) {
      socket.destroy()
      return
    }
    this.#open.set(socket, { key, place })
    this.#waiting.add(socket)
    socket.once('close', () => this.#leave(socket))
  }

  /** Its request is there: the client waits for the gateway, which lets it wait no longer than it has to. */
  works(socket: Socket): void {
    this.#waiting.delete(socket)
  }

  /** Its answer is written: the gateway waits for the client. */
  waits(socket: Socket): void {
    if (this.#open.has(socket)) this.#waiting.add(socket)
  }

  #place(key: string | undefined): Place | undefined {
    const place = this.#limit.take(key)
    if (typeof place !== 'string') return place
    for (const socket of this.#waiting) {
      if (place === 'share' && this.#open.get(socket)?.key !== key) continue
      socket.destroy()
      this.#leave(socket)
      const freed = this.#limit.take(key)
      return typeof freed === 'string' ? undefined : freed
    }
    return undefined
  }

  #leave(socket: Socket): void {
    this.#open.get(socket)?.place.leave()
    this.#open.delete(socket)
    this.#waiting.delete(socket)
  }
}
