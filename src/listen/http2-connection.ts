/**
 * A client's connection that speaks HTTP/2. Node's http2 module has the frames, the windows and the compression of fields;
 * here are the streams that become requests, and the bounds on what a client may do without asking for anything.
 */

import http2, { type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { setImmediate as setImmediateCallback } from 'node:timers'
import { setImmediate } from 'node:timers/promises'
import { Refusal, type Fields } from '../errors.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { CONNECTION_WINDOW, ReceiveWindow, STREAM_WINDOW } from '../http2/receive-window.ts'
import { Budget } from './budget.ts'
import { readStreamRequest, type StreamRequest } from './http2-request.ts'
import { Http2Transport } from './http2-transport.ts'
import { StreamSocket } from './stream-socket.ts'

const {
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_FLAG_END_STREAM,
  NGHTTP2_NO_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_REFUSED_STREAM,
} = http2.constants

const STREAMS_MAX = 100
/** More than any client has, with each of its cookies in a crumb; `headBytes` is the real bound. */
const FIELDS_MAX = 1000
/** A browser that leaves a page resets all streams that it has. What is beyond is CVE-2023-44487. */
const RESETS = { most: 200, perSecond: 20 }
/** PING and SETTINGS, each of which has to be answered. */
const CONTROLS = { most: 200, perSecond: 20 }
/**
 * A client that reads it asks for nothing more, and what it has asked for before is not too late, since the last stream
 * is the last that there can be (RFC 9113 6.8). Behind any GOAWAY that node can send, nghttp2 takes no stream.
 */
const NOTICE = goawayFrame(2 ** 31 - 1, NGHTTP2_NO_ERROR)
/** How long a client may take to answer the PING behind it. */
const NOTICE_MS = 1000
/** How long a client without streams may take to read the last GOAWAY, and to leave. */
const CLOSE_MS = 2000
/** NGHTTP2_ERR_PROTO */
const PROTOCOL_ERRNO = -505

interface Http2Limits {
  readonly headBytesMax: number
  readonly headTimeoutMs: number
  readonly keepAliveTimeoutMs: number
}

export interface Http2Handlers {
  /** As of now. */
  limits(): Http2Limits
  /** Whether a WebSocket may be asked for at all: SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 3). */
  servesWebSocket(): boolean
  /** A stream with a request. */
  onRequest(socket: StreamSocket): void
  /** A stream whose request is answered with this refusal. */
  onRefused(refusal: Refusal, socket: StreamSocket): void
  /** The connection is closed for what the client did on it. */
  onBroken(refusal: Refusal, peerAddress: string): void
}

export class Http2Connection {
  readonly #socket: Socket
  readonly #transport: Http2Transport
  readonly #session: ServerHttp2Session
  readonly #window: ReceiveWindow
  readonly #handlers: Http2Handlers
  readonly #highWaterMark: number
  readonly #peerAddress: string
  readonly #resets = new Budget(RESETS.most, RESETS.perSecond)
  readonly #controls = new Budget(CONTROLS.most, CONTROLS.perSecond)
  /** Errors of the protocol of which it is not known yet whether they are one stream's or the connection's. */
  readonly #unplaced: Error[] = []
  #streams = 0
  /** Runs while there is no stream. */
  #idleTimer: NodeJS.Timeout | undefined
  #isBroken = false
  #leaving: Promise<void> | undefined

  /** The client's preface is the next to come on `socket`, or is unread in it. */
  constructor(socket: Socket, highWaterMark: number, handlers: Http2Handlers) {
    this.#socket = socket
    this.#handlers = handlers
    this.#highWaterMark = highWaterMark
    this.#peerAddress = socket.remoteAddress ?? ''
    // There is no half of an HTTP/2 connection.
    socket.allowHalfOpen = false
    this.#transport = new Http2Transport(socket)
    this.#session = http2.performServerHandshake(this.#transport, {
      maxHeaderListPairs: FIELDS_MAX,
      // Blanks around a value are seen, and refused, instead of a field that is missing.
      strictFieldWhitespaceValidation: false,
      settings: {
        maxConcurrentStreams: STREAMS_MAX,
        initialWindowSize: STREAM_WINDOW,
        enableConnectProtocol: handlers.servesWebSocket(),
      },
    })
    this.#session.setLocalWindowSize(CONNECTION_WINDOW)
    this.#window = new ReceiveWindow(this.#session)
    this.#placeErrors()
    this.#session.on('stream', this.#onStream)
    this.#session.on('ping', this.#onControl)
    this.#session.on('remoteSettings', this.#onControl)
    this.#session.on('error', this.#onError)
    this.#session.on('close', this.#onClose)
    this.#watchIdle(handlers.limits().headTimeoutMs)
  }

  /** Calls once it is closed. */
  onceClosed(listener: () => void): void {
    this.#session.once('close', listener)
  }

  /**
   * Takes no more streams, in two steps: those that are there go on, and those that a client asks for before it can know
   * join them. Fulfilled when all are over, and the kernel has what was said on them.
   */
  goAway(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    const session = this.#session
    while (!this.#transport.hasBegun && !session.destroyed) await setImmediate()
    if (!session.closed && !session.destroyed) {
      this.#transport.write(NOTICE)
      await this.#roundTrip()
    }
    this.#close()
    await this.#transport.ended
  }

  /** Fulfilled when the client has answered a PING, and when it is too slow for that, or gone. */
  #roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, NOTICE_MS)
      this.#session.ping(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** GOAWAY with the last stream that has begun. */
  #close(): void {
    this.#session.close()
    if (this.#streams === 0) this.#watchClose()
  }

  /** Cuts it. */
  destroy(): void {
    this.#session.destroy()
    this.#watchClose()
  }

  /**
   * Node ends a session for errors that nghttp2 answers with the reset of one stream, such as a body longer than its
   * content-length (RFC 9113 8.1.1). It has closed that stream a turn later; where none is closed, the connection is meant.
   */
  #placeErrors(): void {
    const session = this.#session
    const destroy = session.destroy.bind(session)
    session.destroy = (error?: NodeJS.ErrnoException, code?: number): void => {
      if (error?.errno !== PROTOCOL_ERRNO) {
        destroy(error, code)
        return
      }
      this.#unplaced.push(error)
      setImmediateCallback(() => {
        const unplaced = this.#unplaced.pop()
        if (unplaced !== undefined && !session.destroyed) destroy(unplaced)
      })
    }
  }

  readonly #onStream = (
    stream: ServerHttp2Stream,
    _headers: unknown,
    flags: number,
    fields: Fields,
  ): void => {
    stream.on('error', this.#onStreamError)
    this.#streams += 1
    clearTimeout(this.#idleTimer)
    const ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
    if (!ended && !this.#takeWindow(stream)) return
    const request = readStreamRequest(fields, ended)
    if (request === 'malformed') {
      stream.on('close', this.#onStreamClose)
      stream.close(NGHTTP2_PROTOCOL_ERROR)
      this.#countReset()
      return
    }
    const refusal = request instanceof Refusal ? request : this.#tooLarge(request)
    const socket = new StreamSocket({
      stream,
      request:
        request instanceof Refusal
          ? UNREAD
          : refusal === undefined
            ? request
            : { ...request, head: '' },
      transport: this.#socket,
      peerAddress: this.#peerAddress,
      highWaterMark: this.#highWaterMark,
      window: this.#window,
    })
    stream.on('close', this.#onStreamClose)
    // A reset in the same read as the head has come before it.
    if (stream.aborted) this.#countReset()
    else {
      stream.on('aborted', () => {
        if (!socket.hasClosed) this.#countReset()
      })
    }
    if (refusal === undefined) this.#handlers.onRequest(socket)
    else this.#handlers.onRefused(refusal, socket)
  }

  /** False when there is no room for what the stream could be sent: the client may ask again. */
  #takeWindow(stream: ServerHttp2Stream): boolean {
    stream.once('close', () => this.#window.leave())
    if (this.#window.open()) return true
    stream.on('close', this.#onStreamClose)
    stream.close(NGHTTP2_REFUSED_STREAM)
    this.#countReset()
    return false
  }

  #tooLarge({ head }: StreamRequest): Refusal | undefined {
    if (head.length <= this.#handlers.limits().headBytesMax) return undefined
    return new Refusal('E_HEAD_TOO_LARGE', { cause: `a head of ${head.length} bytes` })
  }

  readonly #onStreamError = (error: NodeJS.ErrnoException): void => {
    // Reset by nghttp2: what is reset from here has another code.
    if (error.message.includes('NGHTTP2_PROTOCOL_ERROR')) this.#unplaced.pop()
  }

  readonly #onStreamClose = (): void => {
    this.#streams -= 1
    if (this.#session.destroyed || this.#streams > 0) return
    if (this.#session.closed) this.#watchClose()
    else this.#watchIdle(this.#handlers.limits().keepAliveTimeoutMs)
  }

  /** A stream is over before its answer, by the client's RST_STREAM or by a rule that it has broken. */
  #countReset(): void {
    if (!this.#session.destroyed && !this.#resets.take()) this.#calm('reset streams')
  }

  readonly #onControl = (): void => {
    if (!this.#controls.take()) this.#calm('PING and SETTINGS')
  }

  #calm(what: string): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.#handlers.onBroken(new Refusal('E_HTTP2_FLOOD', { cause: what }), this.#peerAddress)
    // The session says it too, but not while it has a write in progress.
    const { lastProcStreamID = 0 } = this.#session.state
    this.#transport.write(goawayFrame(lastProcStreamID, NGHTTP2_ENHANCE_YOUR_CALM))
    this.#session.destroy(new Error(`a flood of ${what}`), NGHTTP2_ENHANCE_YOUR_CALM)
    this.#watchClose()
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (this.#isBroken || !error.code?.startsWith('ERR_HTTP2_')) return
    this.#isBroken = true
    const cause = `HTTP/2: ${error.message}`
    this.#handlers.onBroken(new Refusal('E_REQUEST_MALFORMED', { cause }), this.#peerAddress)
  }

  #watchIdle(ms: number): void {
    clearTimeout(this.#idleTimer)
    if (ms <= TIMER_MAX_MS) this.#idleTimer = setTimeout(this.#onIdle, ms)
  }

  readonly #onIdle = (): void => {
    this.#close()
  }

  /** A client that takes nothing, or does not leave, would keep a connection that is closed. */
  #watchClose(): void {
    if (this.#transport.closed) return
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => this.#transport.destroy(), CLOSE_MS)
  }

  readonly #onClose = (): void => {
    clearTimeout(this.#idleTimer)
  }
}

/** For the stream of a request that is not looked at. */
const UNREAD = { method: 'GET', connects: true, head: '', body: { kind: 'none' } } as const

function goawayFrame(lastStream: number, code: number): Buffer {
  const frame = Buffer.alloc(17)
  frame[2] = 8
  frame[3] = 7
  frame.writeUInt32BE(lastStream, 9)
  frame.writeUInt32BE(code, 13)
  return frame
}
