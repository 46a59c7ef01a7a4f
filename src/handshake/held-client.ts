/**
 * A client whose connection is held by the relay's engine: its handshake came without a body, and as long as all goes
 * well nobody needs a socket of node's for it. Where somebody does (an informational answer, a refusal, a relay that
 * cannot have it otherwise) it becomes one, and everything goes on as for every other client.
 */

import type { HeldConnection, HeldListener } from '../relay/acceptor.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'
import type { Client } from './client.ts'
import { RawClient, type RawClientOptions } from './raw-client.ts'

export interface HeldClientOptions extends Omit<RawClientOptions, 'socket' | 'head'> {
  readonly connection: HeldConnection
  /** Latin1 that came behind the request head. */
  readonly rest: string
  /** Its FIN came with the request. */
  readonly ended: boolean
}

export class HeldClient implements Client, HeldListener {
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  readonly #options: HeldClientOptions
  #raw: RawClient | undefined
  #gone = false
  #ended: boolean
  #onGone: (() => void) | undefined

  constructor(options: HeldClientOptions) {
    this.#options = options
    this.httpVersion = options.httpVersion
    this.method = options.method
    this.#ended = options.ended
    this.#gone = options.ended && options.endMeansGone
    options.connection.listener = this
  }

  get socket(): RelaySocket {
    return this.#asRaw().socket
  }

  get held(): HeldConnection | undefined {
    return this.#raw === undefined ? this.#options.connection : undefined
  }

  get gone(): boolean {
    return this.#raw?.gone ?? this.#gone
  }

  get hasBody(): boolean {
    return false
  }

  get bodyBegun(): boolean {
    return false
  }

  get owesBody(): boolean {
    return false
  }

  get reusable(): boolean {
    return this.#asRaw().reusable
  }

  set onGone(listener: (() => void) | undefined) {
    if (this.#raw !== undefined) {
      this.#raw.onGone = listener
      return
    }
    this.#onGone = listener
    if (this.#gone) this.#leave()
  }

  /** There is none. */
  sendBody(): void {}

  release(): Side {
    this.#onGone = undefined
    if (this.#raw !== undefined) return this.#raw.release()
    const { connection, rest } = this.#options
    connection.listener = undefined
    return connection.side(rest, this.#ended)
  }

  finish(reuse: boolean): void {
    this.#asRaw().finish(reuse)
  }

  destroy(): void {
    if (this.#raw !== undefined) {
      this.#raw.destroy()
      return
    }
    this.#options.connection.close()
    this.#leave()
  }

  /** Only a part of a request is told after the first one, and there is none any more. */
  onText(): void {}

  onLate(): void {}

  onFin(): void {
    this.#ended = true
    if (this.#options.endMeansGone) this.#leave()
  }

  onReset(): void {
    this.#leave()
  }

  #asRaw(): RawClient {
    if (this.#raw !== undefined) return this.#raw
    const { connection, rest } = this.#options
    const head = Buffer.from(rest, 'latin1')
    this.#raw = new RawClient({ ...this.#options, socket: connection.toSocket(), head })
    this.#raw.onGone = this.#onGone
    return this.#raw
  }

  #leave(): void {
    this.#gone = true
    const listener = this.#onGone
    this.#onGone = undefined
    listener?.()
  }
}
