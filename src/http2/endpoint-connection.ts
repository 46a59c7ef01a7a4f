/**
 * A connection to an endpoint that speaks HTTP/2, shared by many tunnels and requests. Node's http2 module has the frames, the
 * windows and the compression of fields; here is how many streams it may have, and when it takes no more:
 *
 *     greeting --SETTINGS--> open --GOAWAY or close()--> no more streams --last stream--> closed
 *                             |
 *                             +--no PONG when in doubt--> closed
 */

import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { CONNECTION_WINDOW, ReceiveWindow, STREAM_WINDOW } from './receive-window.ts'
import type { StreamHead } from './request-reader.ts'

const { NGHTTP2_NO_ERROR } = http2.constants

/** More than any endpoint sends in one answer; the size of its head is bounded as well. */
const FIELDS_MAX = 2000
/** Megabytes that node may hold for a connection; for each stream it is less than its window and what is written to it. */
const MEMORY_PER_STREAM = 0.25
const MEMORY_MIN = 10
/** How long a connection without streams waits for the next one. */
const IDLE_MS = 30_000
/** How long the other end may take to close when we have. */
const SHUT_MS = 3000
/** How long nothing may be answered before an abandoned request puts the connection in doubt. */
const DOUBT_MS = 1000
/** How long the answer to a PING may take. */
const PONG_MS = 3000

/** NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: more than eight behind one HEADERS. */
const TOO_MANY_CONTINUATIONS = -905

/**
 * What is left of sessions whose endpoints have sent more CONTINUATION frames than nghttp2 takes. It frees not all of such an answer,
 * and node ends the process when it collects a session of which something is left: memory for each is the lesser evil.
 */
const uncollected: unknown[] = []

export interface ConnectionOptions {
  readonly scheme: 'http' | 'https'
  /** Streams at once, whatever more the endpoint would take. */
  readonly streamsMax: number
}

export interface ConnectionWatcher {
  /** The endpoint's SETTINGS are there, and streams can be opened. */
  onReady(): void
  /** A stream is over, or the endpoint takes more: there may be room. */
  onRoom(): void
  /** Called once, whether it was ready or not. `cause` is for the log; `isMalformed`: what came was not HTTP/2. */
  onClosed(cause: string, isMalformed: boolean): void
}

export class EndpointConnection {
  readonly scheme: 'http' | 'https'
  /** Below TLS or not: what the streams go over. */
  readonly transport: Socket
  readonly #streamsMax: number
  readonly #session: ClientHttp2Session
  /** Its part in C++. */
  readonly #handle: unknown
  readonly #watcher: ConnectionWatcher
  readonly #window: ReceiveWindow
  #streams = 0
  #isReady = false
  #isClosing = false
  #isOver = false
  #isInDoubt = false
  #cause = 'it was closed'
  #isMalformed = false
  /** The endpoint has looked at no stream above it (RFC 9113 6.8). */
  #lastStream = Infinity
  #heardMs = performance.now()
  #idleTimer: NodeJS.Timeout | undefined
  #pongTimer: NodeJS.Timeout | undefined

  /** `socket` is connected, and nobody has read from it. */
  constructor(socket: Socket, options: ConnectionOptions, watcher: ConnectionWatcher) {
    const { scheme, streamsMax } = options
    this.scheme = scheme
    this.transport = socket
    this.#streamsMax = streamsMax
    this.#watcher = watcher
    // There is no half of an HTTP/2 connection.
    socket.allowHalfOpen = false
    this.#session = http2.connect(`${scheme}://endpoint`, {
      createConnection: () => socket,
      maxHeaderListPairs: FIELDS_MAX,
      maxSessionMemory: Math.max(MEMORY_MIN, streamsMax * MEMORY_PER_STREAM),
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
    })
    this.#session.once('connect', () => {
      if (!this.#session.destroyed) this.#session.setLocalWindowSize(CONNECTION_WINDOW)
    })
    this.#window = new ReceiveWindow(this.#session)
    this.#handle = handleOf(this.#session)
    this.#session.on('remoteSettings', this.#onSettings)
    this.#session.on('goaway', this.#onGoAway)
    this.#session.on('error', this.#onError)
    this.#session.on('close', this.#onClose)
  }

  /** Streams that can be opened now. */
  get room(): number {
    if (!this.#isReady || this.#isClosing || this.#isShut) return 0
    return Math.max(0, this.capacity - this.#streams)
  }

  /** Streams that it can have at once. */
  get capacity(): number {
    const { maxConcurrentStreams } = this.#session.remoteSettings
    return Math.min(this.#streamsMax, maxConcurrentStreams ?? Infinity)
  }

  /** No stream is open or taken. */
  get isUnused(): boolean {
    return this.#streams === 0
  }

  /** SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 3). */
  get takesWebSocket(): boolean {
    return !this.#session.destroyed && this.#session.remoteSettings.enableConnectProtocol === true
  }

  /** Takes the place of one stream until `leave` is called. There must be room. */
  take(): void {
    this.#streams += 1
    this.#window.open()
    clearTimeout(this.#idleTimer)
  }

  leave(): void {
    this.#streams -= 1
    this.#window.leave()
    if (this.#streams === 0) this.#onUnused()
    this.#watcher.onRoom()
  }

  /** The endpoint has said that it takes no more, or it is over. */
  get #isShut(): boolean {
    return this.#session.closed || this.#session.destroyed
  }

  /** Opens a stream in a place that was taken. Undefined when the connection takes no more meanwhile: the endpoint knows nothing of the request. */
  request({ headers, rest }: StreamHead): ClientHttp2Stream | undefined {
    if (this.#isShut) return undefined
    return this.#session.request([...headers], {
      endStream: rest === 'nothing',
      waitForTrailers: rest === 'body and trailers',
    })
  }

  /** False where the endpoint has said that it has not looked at a stream and will not. */
  hasSeen(stream: number): boolean {
    return stream <= this.#lastStream
  }

  /** So much was read from one of its streams. */
  onRead(bytes: number): void {
    this.#window.onRead(bytes)
  }

  /** Something was answered. */
  heard(): void {
    this.#heardMs = performance.now()
  }

  /**
   * Nobody answered a request that was sent at `sinceMs` (`performance.now()`). Where no other one was answered either, for a while,
   * the endpoint is asked by a PING: one that is gone shall not take all others' time.
   */
  doubt(sinceMs: number): void {
    const silentMs = performance.now() - Math.max(this.#heardMs, sinceMs)
    if (this.#isInDoubt || silentMs < DOUBT_MS || this.#session.destroyed) return
    this.#isInDoubt = true
    this.#pongTimer = setTimeout(() => {
      this.#end(`no answer to a PING within ${PONG_MS} ms`)
    }, PONG_MS)
    const isSent = this.#session.ping((error) => {
      clearTimeout(this.#pongTimer)
      this.#isInDoubt = false
      if (error === null) this.heard()
    })
    if (!isSent) this.#end('it takes no PING')
  }

  /** Takes no more streams; those that are there, or have a place, go on. */
  close(): void {
    this.#isClosing = true
    if (!this.#isReady) this.#end('it was closed')
    else if (this.#streams === 0) this.#onUnused()
  }

  /** Cuts it, with its streams. */
  destroy(cause = 'it was closed'): void {
    this.#end(cause)
  }

  #end(cause: string): void {
    this.#cause = cause
    // With an error: without one, node ends streams that are in the middle of an answer as if it were whole.
    this.#session.destroy(new Error(cause), NGHTTP2_NO_ERROR)
    this.#cut()
  }

  /** Node would wait until all is written, or for the other end; and tells of no end that it still waits for. */
  readonly #cut = (): void => {
    this.transport.once('close', this.#onClose)
    this.transport.destroy()
  }

  #onUnused(): void {
    clearTimeout(this.#idleTimer)
    if (this.#isOver) return
    if (this.#isClosing) this.#shut()
    else this.#idleTimer = setTimeout(this.#shut, IDLE_MS)
  }

  /** Nothing is under way any more. An endpoint that does not close its end is waited for a while. */
  readonly #shut = (): void => {
    this.#isClosing = true
    this.#idleTimer = setTimeout(this.#cut, SHUT_MS)
    this.#session.close()
  }

  readonly #onSettings = (): void => {
    this.heard()
    if (this.#isReady) {
      this.#watcher.onRoom()
      return
    }
    // RFC 9113 6.5.2: for a while there may be none; another connection would not have them either.
    if (this.capacity === 0) return
    this.#isReady = true
    this.#onUnused()
    this.#watcher.onReady()
  }

  readonly #onGoAway = (code: number, lastStream: number): void => {
    this.#cause = `GOAWAY with ${code}`
    this.#lastStream = lastStream
    this.#isClosing = true
    if (this.#streams === 0) this.#onUnused()
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    const { code, errno, message } = error
    if (errno === TOO_MANY_CONTINUATIONS) uncollected.push(this.#handle)
    this.#isMalformed = code === 'ERR_HTTP2_ERROR'
    this.#cause = code === undefined || message.includes(code) ? message : `${code}: ${message}`
  }

  readonly #onClose = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#idleTimer)
    clearTimeout(this.#pongTimer)
    this.#watcher.onClosed(this.#cause, this.#isMalformed)
  }
}

/** Node has no public name for it, and lets go of it before it tells of an error. */
function handleOf(session: ClientHttp2Session): unknown {
  const key = Object.getOwnPropertySymbols(session).find(
    ({ description }) => description === 'kHandle',
  )
  return key && (session as unknown as Record<symbol, unknown>)[key]
}
