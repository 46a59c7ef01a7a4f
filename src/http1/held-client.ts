/**
 * A client whose connection is held by the relay's engine: its request came without a body, and as long as it becomes a
 * tunnel nobody needs a socket of node's for it. Where somebody does (any response but a 101, a relay that cannot have it
 * otherwise) the connection becomes one, and everything goes on as for every other client.
 */

import type { HeldConnection, HeldListener } from '../relay/acceptor.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'
import type { RequestHead } from '../request/facts.ts'
import type { BodyReader, Client, ResponseStart } from './client.ts'
import type { ResponseWriter } from './response-writer.ts'

export interface HeldClientOptions {
  readonly connection: HeldConnection
  readonly head: RequestHead
  /** Latin1 that came behind the request head. */
  readonly rest: string
  /** Its FIN came with the request. */
  readonly ended: boolean
  readonly endMeansGone: boolean
  /** The same exchange on the socket that the connection has become. */
  readonly toSocketClient: (from: HeldState) => Client
  /** The exchange ended without a socket. */
  readonly onOver: () => void
}

/** What has become of a held client until it has a socket. */
interface HeldState {
  readonly socket: RelaySocket
  readonly endMeansGone: boolean
}

export class HeldClient implements Client, HeldListener {
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  readonly framing = { kind: 'none' } as const
  readonly #options: HeldClientOptions
  #client: Client | undefined
  #endMeansGone: boolean
  /** For whatever reason but its FIN. */
  #gone = false
  #goneBy: 'eof' | 'reset' = 'eof'
  #ended: boolean
  #isOver = false
  #onGone: (() => void) | undefined

  constructor(options: HeldClientOptions) {
    this.#options = options
    this.httpVersion = options.head.httpVersion
    this.method = options.head.method
    this.#ended = options.ended
    this.#endMeansGone = options.endMeansGone
    options.connection.listener = this
  }

  get socket(): RelaySocket {
    return this.#onSocket().socket
  }

  get held(): HeldConnection | undefined {
    return this.#client === undefined ? this.#options.connection : undefined
  }

  get gone(): boolean {
    return this.#client?.gone ?? (this.#gone || (this.#ended && this.#endMeansGone))
  }

  get goneBy(): 'eof' | 'reset' {
    return this.#client?.goneBy ?? this.#goneBy
  }

  get endMeansGone(): boolean {
    return this.#client?.endMeansGone ?? this.#endMeansGone
  }

  set endMeansGone(means: boolean) {
    if (this.#client !== undefined) {
      this.#client.endMeansGone = means
      return
    }
    this.#endMeansGone = means
    if (this.gone) this.#tellGone()
  }

  set onGone(listener: (() => void) | undefined) {
    if (this.#client !== undefined) {
      this.#client.onGone = listener
      return
    }
    this.#onGone = listener
    if (this.gone) this.#tellGone()
  }

  get bodyDone(): boolean {
    return true
  }

  get bodyBegun(): boolean {
    return false
  }

  get awaitsContinue(): boolean {
    return false
  }

  /** There is none. */
  readBody(_reader: BodyReader): void {}

  pauseBody(): void {}

  resumeBody(): void {}

  dropBody(): void {}

  get hasAhead(): boolean {
    return this.#client?.hasAhead ?? this.#options.rest !== ''
  }

  endConnection(): void {
    this.#onSocket().endConnection()
  }

  get responded(): boolean {
    return this.#client?.responded === true
  }

  inform(head: Omit<ResponseStart, 'framing' | 'closes'>): void {
    // HTTP/1.0 knows none, and a client without a body waits for no 100.
    if (this.httpVersion === '1.1' && head.status !== 100) this.#onSocket().inform(head)
  }

  respond(head: ResponseStart): ResponseWriter {
    return this.#onSocket().respond(head)
  }

  release(): Side {
    this.#onGone = undefined
    if (this.#client !== undefined) return this.#client.release()
    const { connection, rest, onOver } = this.#options
    this.#isOver = true
    connection.listener = undefined
    onOver()
    return connection.side(rest, this.#ended)
  }

  finish(): void {
    if (this.#client !== undefined) this.#client.finish()
    else this.destroy()
  }

  destroy(byReset = false): void {
    if (this.#client !== undefined) {
      this.#client.destroy(byReset)
      return
    }
    if (this.#isOver) return
    this.#isOver = true
    this.#options.connection.close()
    this.#gone = true
    this.#options.onOver()
    this.#tellGone()
  }

  /** Only a part of a request is told after the first one, and there is none any more. */
  onText(): void {}

  onLate(): void {}

  onFin(): void {
    this.#ended = true
    if (this.#endMeansGone) this.#tellGone()
  }

  onReset(): void {
    this.#gone = true
    this.#goneBy = 'reset'
    this.#tellGone()
  }

  #onSocket(): Client {
    if (this.#client !== undefined) return this.#client
    const { connection, toSocketClient } = this.#options
    this.#client = toSocketClient({
      socket: connection.toSocket(),
      endMeansGone: this.#endMeansGone,
    })
    this.#client.onGone = this.#onGone
    return this.#client
  }

  #tellGone(): void {
    const listener = this.#onGone
    this.#onGone = undefined
    listener?.()
  }
}
