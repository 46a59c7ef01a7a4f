/**
 * One stream of HTTP/2 to an endpoint as the HTTP/1.1 connection that it is to all the rest of the gateway, with one
 * request on it:
 *
 *     head, body, trailers --> HEADERS, DATA, trailers; behind an upgrade bytes are bytes
 *     head, body, trailers <-- HEADERS, DATA, trailers
 *     FIN <-> END_STREAM          reset <-> RST_STREAM     the stream's window is the back-pressure
 */

import http2, { type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { addAbortSignal, Duplex } from 'node:stream'
import type { Fields } from '../errors.ts'
import { MALFORMED_CODE, UNPROCESSED_CODE } from '../handshake/dial.ts'
import { INFORMATIONAL_MAX } from '../http1/response-reader.ts'
import type { SharedSocket } from '../handshake/shared.ts'
import { finalHead, informationalHead, type ReadAnswer } from './answer-head.ts'
import type { EndpointConnection } from './endpoint-connection.ts'
import { IncomingBody } from './incoming-body.ts'
import { flushJoined, joinSmallChunks } from './joined-chunks.ts'
import { RequestReader, type RequestSink, type StreamHead } from './request-reader.ts'

const { NGHTTP2_FLAG_END_STREAM, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants

const NO_BODY = new IncomingBody({ kind: 'none' })

export class EndpointStream extends Duplex implements SharedSocket, RequestSink {
  /** See `SharedSocket`. */
  isUnprocessed = false
  readonly #connection: EndpointConnection
  readonly #request: RequestReader
  #stream: ClientHttp2Stream | undefined
  #head: StreamHead | undefined
  #openedMs = 0
  /** Of the answer. */
  #body = NO_BODY
  #informational = 0
  #isAnswered = false
  /** It was a yes to a WebSocket. */
  #isSwitched = false
  /** END_STREAM has come. */
  #isEnded = false
  /** All that comes is here; some may still be to be read. */
  #isWhole = false
  #requestTrailers: OutgoingHttpHeaders = {}
  #onRoom: (() => void) | undefined

  /** Takes a place on the connection, which must have one; the stream is opened when the request's head is written. */
  constructor(connection: EndpointConnection, highWaterMark: number | undefined) {
    super(highWaterMark === undefined ? {} : { highWaterMark })
    this.#connection = connection
    this.#request = new RequestReader(connection.scheme, this)
    connection.take()
    // Whoever owns it listens; between two owners nobody does.
    this.on('error', ignore)
    this.once('close', () => connection.leave())
  }

  /** See `SharedSocket`. */
  get takesWebSocket(): boolean {
    return this.#connection.takesWebSocket
  }

  /** Of the connection below: its peer is the endpoint. */
  setKeepAlive(isOn: boolean, delayMs: number): this {
    this.#connection.transport.setKeepAlive(isOn, delayMs)
    return this
  }

  /** RFC 8441 5: a reset is RST_STREAM with CANCEL. */
  resetAndDestroy(): this {
    return this.destroy()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      this.#request.push(chunk)
    } catch (error) {
      done(error as Error)
      return
    }
    if (this.#isSwitched && this.#stream?.destroyed === true) done(reset())
    else if (this.#stream?.writableNeedDrain === true) this.#onRoom = done
    else done()
  }

  override _final(done: (error?: Error) => void): void {
    const stream = this.#stream
    if (!this.#request.mayEnd || stream === undefined) {
      done(new Error('the end of a request that is not whole'))
    } else if (stream.writableEnded) done()
    else stream.end(() => done())
  }

  override _read(): void {
    this.#stream?.resume()
  }

  onHead(head: StreamHead): void {
    const stream = this.#connection.request(head)
    if (stream === undefined) {
      this.#fail(UNPROCESSED_CODE, 'the endpoint takes no more requests over the connection')
      return
    }
    this.#head = head
    this.#stream = stream
    this.#openedMs = performance.now()
    joinSmallChunks(stream)
    this.#watchEnd(stream)
    stream.on('error', ignore)
    stream.on('headers', this.#onInformation)
    stream.on('response', this.#onResponse)
    stream.on('data', this.#onData)
    stream.on('trailers', this.#onTrailers)
    stream.on('end', this.#onEnd)
    stream.on('drain', this.#onDrain)
    stream.on('wantTrailers', this.#onWantTrailers)
    stream.on('close', this.#onClose)
  }

  /** Node ends a stream that is reset with NO_ERROR as it does a whole one, but has closed it before. */
  #watchEnd(stream: ClientHttp2Stream): void {
    const push = stream.push.bind(stream)
    stream.push = (chunk: Buffer | null) => {
      if (chunk === null && !stream.closed) this.#isEnded = true
      return push(chunk)
    }
  }

  onData(bytes: Buffer): void {
    this.#stream?.write(bytes)
  }

  onWhole(trailers: OutgoingHttpHeaders): void {
    this.#requestTrailers = trailers
    this.#stream?.end()
  }

  /** Node throws for what no trailer may be. */
  readonly #onWantTrailers = (): void => {
    try {
      this.#stream?.sendTrailers(this.#requestTrailers)
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  readonly #onDrain = (): void => {
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
  }

  readonly #onInformation = (_headers: unknown, _flags: number, fields: Fields): void => {
    this.#connection.heard()
    this.#informational += 1
    // No window holds them up.
    if (this.#informational > INFORMATIONAL_MAX) this.#break('too many informational answers')
    else this.#tell(informationalHead(fields))
  }

  readonly #onResponse = (_headers: unknown, flags: number, fields: Fields): void => {
    this.#connection.heard()
    this.#isAnswered = true
    const ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
    this.#tell(finalHead(fields, this.#head as StreamHead, ended))
  }

  #tell(answer: ReadAnswer): void {
    if ('wrong' in answer) return this.#break(answer.wrong)
    this.#body = new IncomingBody(answer.body)
    this.#isSwitched = answer.body.kind === 'close'
    this.push(answer.head, 'latin1')
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#connection.onRead(chunk.length)
    const wrong = this.#body.data(chunk, this, () => this.#stream?.pause())
    if (wrong !== undefined) this.#break(wrong)
  }

  readonly #onTrailers = (_headers: unknown, _flags: number, fields: Fields): void => {
    const wrong = this.#body.trailers(fields)
    if (wrong !== undefined) this.#break(wrong)
  }

  readonly #onEnd = (): void => {
    if (!this.#isEnded || !this.#isAnswered) return this.#onBroken()
    const wrong = this.#body.end(this)
    if (wrong === undefined) this.#isWhole = true
    else this.#break(wrong)
  }

  /** RST_STREAM, the end of the connection, or the end of both sides. */
  readonly #onClose = (): void => {
    // RFC 9113 8.1: what is whole holds, whether the rest from here was wanted or not. HAProxy resets what it has ended
    // whenever a server closes first.
    if (this.#isEnded && !this.#isWhole) this.#readRest()
    if (this.#isWhole) this.#onDrain()
    else this.#onBroken()
  }

  /** Node destroys what is reset, and tells of nothing that it still has. */
  #readRest(): void {
    if (this.#stream !== undefined) flushJoined(this.#stream)
    for (;;) {
      const chunk = this.#stream?.read() as Buffer | null
      if (chunk === null) break
      this.#onData(chunk)
    }
    this.#onEnd()
  }

  #onBroken(): void {
    if (this.destroyed) return
    const { id = 0, rstCode, errored } = this.#stream as ClientHttp2Stream
    const error: NodeJS.ErrnoException | null = errored
    const isConnections = error !== null && error.code !== 'ERR_HTTP2_STREAM_ERROR'
    const message = isConnections
      ? `the connection ended: ${error.message}`
      : `the stream ended with ${rstCode}`
    const isUnseen = rstCode === NGHTTP2_REFUSED_STREAM || !this.#connection.hasSeen(id)
    if (isUnseen && !this.#isAnswered) this.#fail(UNPROCESSED_CODE, message)
    // Node's name for what breaks the rules of the whole connection.
    else if (error?.code === 'ERR_HTTP2_ERROR' || this.#isMalformed(rstCode)) this.#break(message)
    else this.#fail('ECONNRESET', message)
  }

  /** What is wrong with an answer is mostly found by node, which resets the stream then. Behind an upgrade nothing is. */
  #isMalformed(rstCode: number | undefined): boolean {
    return rstCode === NGHTTP2_PROTOCOL_ERROR && !this.#isSwitched
  }

  #break(wrong: string): void {
    this.#fail(MALFORMED_CODE, wrong)
  }

  #fail(code: string, message: string): void {
    this.isUnprocessed = code === UNPROCESSED_CODE
    this.destroy(Object.assign(new Error(`HTTP/2: ${message}`), { code }))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const stream = this.#stream
    if (stream !== undefined && !stream.destroyed) {
      // RST_STREAM with CANCEL. By `close` node would end the stream in peace first, and keep one that nobody reads to its end.
      addAbortSignal(AbortSignal.abort(), stream)
      if (!this.#isAnswered) this.#connection.doubt(this.#openedMs)
    }
    done(error)
  }
}

/** For what is said to a tunnel's endpoint that hears no more. */
function reset(): Error {
  return Object.assign(new Error('HTTP/2: the stream was reset'), { code: 'ECONNRESET' })
}

function ignore(): void {}
