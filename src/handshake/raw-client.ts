/**
 * The client's end of an upgrade, from the moment the HTTP parser lets go of the socket until a relay takes it, it goes
 * back to the parser, or it is closed. It passes the request's body on, holds back every byte behind it (RFC 9931: none
 * may reach an upstream before the 101), and notices when the client leaves.
 */

import type { RelaySocket, Side } from '../relay/relay.ts'
import type { Client } from './client.ts'
import { bodyScanner, type BodyScanner, type Framing } from '../http1/framing.ts'
import { lingeringClose } from '../http1/lingering-close.ts'

/** Held bytes above which the client's socket is no longer read; the kernel's buffers stall it then. */
const HELD_BYTES_MAX = 65_536

export interface RawClientOptions {
  readonly socket: RelaySocket
  /** Bytes that came behind the request head. */
  readonly head: Buffer
  readonly framing: Framing
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  /** The client did not ask to close the connection after this request. */
  readonly keepAlive: boolean
  /** A FIN before the answer means that the client is gone: true for websocket, whose clients never half-close. */
  readonly endMeansGone: boolean
  /** Hands the socket back to the HTTP parser for the next request. */
  readonly giveBack: (socket: RelaySocket) => void
  /** See `Side`. */
  readonly lend: ((socket: RelaySocket) => () => void) | undefined
}

export class RawClient implements Client {
  readonly socket: RelaySocket
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  readonly held = undefined
  readonly #options: RawClientOptions
  readonly #body: BodyScanner
  #held: Buffer[] = []
  #heldBytes = 0
  #ended = false
  #gone = false
  #sink: RelaySocket | undefined
  #bodyBegun = false
  #onGone: (() => void) | undefined
  #onBrokenBody: (() => void) | undefined
  #onBodyProgress: (() => void) | undefined

  constructor(options: RawClientOptions) {
    this.#options = options
    this.socket = options.socket
    this.httpVersion = options.httpVersion
    this.method = options.method
    this.#body = bodyScanner(options.framing)
    this.socket.on('data', this.#onData)
    this.socket.on('end', this.#onEnd)
    this.socket.on('error', this.#onError)
    this.socket.on('close', this.#onClose)
    if (options.head.length > 0) this.#hold(options.head)
    if (this.socket.destroyed) this.#gone = true
  }

  get gone(): boolean {
    return this.#gone
  }

  get hasBody(): boolean {
    return !this.#body.done
  }

  get bodyBegun(): boolean {
    return this.#bodyBegun
  }

  get owesBody(): boolean {
    return !this.#body.done && this.#sink?.writableNeedDrain !== true
  }

  set onGone(listener: (() => void) | undefined) {
    this.#onGone = listener
    if (this.#gone && listener !== undefined) this.#leave()
  }

  sendBody(sink: RelaySocket, onBroken: () => void, onProgress: () => void): void {
    if (this.#body.done) return
    this.#sink = sink
    this.#bodyBegun = true
    this.#onBrokenBody = onBroken
    this.#onBodyProgress = onProgress
    sink.on('drain', this.#onSinkDrain)
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    for (const chunk of held) this.#onData(chunk)
    if (this.#ended && !this.#body.done) this.#leave()
    else this.#resumeIfRoom()
  }

  release(): Side {
    const { lend } = this.#options
    this.#detach()
    return {
      socket: this.socket,
      unread: this.#held,
      ended: this.#ended,
      lend: lend === undefined ? undefined : () => lend(this.socket),
    }
  }

  get reusable(): boolean {
    const { keepAlive, httpVersion } = this.#options
    return (
      keepAlive && httpVersion === '1.1' && this.#body.done && this.#heldBytes === 0 && !this.#ended
    )
  }

  destroy(): void {
    this.socket.destroy()
  }

  finish(reuse: boolean): void {
    this.#detach()
    if (this.socket.destroyed) return
    if (reuse && this.reusable) this.#options.giveBack(this.socket)
    else lingeringClose(this.socket)
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#body.done || this.#sink === undefined) {
      this.#hold(chunk)
      return
    }
    const scanned = this.#body.scan(chunk)
    if (scanned === undefined) {
      this.#sink.off('drain', this.#onSinkDrain)
      this.#sink = undefined
      this.socket.pause()
      this.#onBrokenBody?.()
      return
    }
    const isWhole = scanned.bytes === chunk.length
    if (!this.#sink.write(isWhole ? chunk : chunk.subarray(0, scanned.bytes))) this.socket.pause()
    this.#onBodyProgress?.()
    if (!isWhole) this.#hold(chunk.subarray(scanned.bytes))
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes >= HELD_BYTES_MAX) this.socket.pause()
  }

  readonly #onSinkDrain = (): void => {
    this.#resumeIfRoom()
  }

  #resumeIfRoom(): void {
    const isSinkFull = this.#sink?.writableNeedDrain ?? false
    if (!isSinkFull && this.#heldBytes < HELD_BYTES_MAX) this.socket.resume()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    // What is held may be the rest of the body: that shows when it is sent.
    if (this.#options.endMeansGone || (this.#bodyBegun && !this.#body.done)) this.#leave()
  }

  readonly #onError = (): void => {
    this.#leave()
  }

  readonly #onClose = (): void => {
    this.#leave()
  }

  #leave(): void {
    this.#gone = true
    const listener = this.#onGone
    this.#onGone = undefined
    listener?.()
  }

  #detach(): void {
    // Without a listener a flowing socket would drop what it reads.
    this.socket.pause()
    this.socket.off('data', this.#onData)
    this.socket.off('end', this.#onEnd)
    this.socket.off('error', this.#onError)
    this.socket.off('close', this.#onClose)
    this.#sink?.off('drain', this.#onSinkDrain)
    this.#onGone = undefined
  }
}
