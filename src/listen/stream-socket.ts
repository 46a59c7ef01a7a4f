/**
 * One stream of HTTP/2 as the HTTP/1.1 connection that it is to all the rest of the gateway, with one request on it:
 *
 *     HEADERS, DATA, trailers --> head, body, trailers --> node's parser, then perhaps a relay
 *     HEADERS, DATA, trailers <-- head, body, trailers <-- the answer; behind a 101 bytes are bytes
 *     END_STREAM <-> FIN          RST_STREAM <-> reset     the stream's window is the back-pressure
 */

import http2, {
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import { addAbortSignal, Duplex } from 'node:stream'
import type { Fields } from '../errors.ts'
import { IncomingBody } from '../http2/incoming-body.ts'
import { flushJoined, joinSmallChunks } from '../http2/joined-chunks.ts'
import type { ReceiveWindow } from '../http2/receive-window.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { AnswerReader, type AnswerSink } from './http2-answer.ts'
import type { StreamRequest } from './http2-request.ts'

const { NGHTTP2_NO_ERROR } = http2.constants

const NO_TRAILERS: OutgoingHttpHeaders = {}

export interface StreamSocketOptions {
  readonly stream: ServerHttp2Stream
  readonly request: StreamRequest
  /** The connection below, which other streams use too. */
  readonly transport: Socket
  readonly peerAddress: string
  /** Of what may be held each way. */
  readonly highWaterMark: number
  /** Of the connection. */
  readonly window: ReceiveWindow
}

export class StreamSocket extends Duplex implements RelaySocket, AnswerSink {
  readonly remoteAddress: string
  readonly transport: Socket
  /** See `StreamRequest`. */
  readonly connects: boolean
  readonly #stream: ServerHttp2Stream
  readonly #window: ReceiveWindow
  readonly #body: IncomingBody
  readonly #answer: AnswerReader
  #answerTrailers = NO_TRAILERS
  /** Of the request; some of it may not be read yet. */
  #hasAll = false
  #isReset = false
  #hasClosed = false
  #onRoom: (() => void) | undefined

  constructor({
    stream,
    request,
    transport,
    peerAddress,
    highWaterMark,
    window,
  }: StreamSocketOptions) {
    super({ highWaterMark })
    this.#stream = stream
    this.#window = window
    this.#body = new IncomingBody(request.connects ? { kind: 'close' } : request.body)
    this.transport = transport
    this.#answer = new AnswerReader(request.connects ? 'GET' : request.method, this)
    this.remoteAddress = peerAddress
    this.connects = request.connects
    // Whoever owns it listens; between two owners nobody does.
    this.on('error', ignore)
    listen(stream, this)
    if (request.body.kind === 'chunked') stream.on('trailers', this.#onTrailers)
    if (request.connects) this.on('finish', onFinish)
    this.push(request.head, 'latin1')
  }

  /** The stream was ended from here. */
  get hasClosed(): boolean {
    return this.#hasClosed
  }

  /** Of the connection below: its peer is the client. */
  setKeepAlive(isOn: boolean, delayMs: number): this {
    this.transport.setKeepAlive(isOn, delayMs)
    return this
  }

  /** RFC 8441 5: a reset is RST_STREAM with CANCEL. */
  resetAndDestroy(): this {
    this.#isReset = true
    return this.destroy()
  }

  onStreamData(chunk: Buffer): void {
    this.#window.onRead(chunk.length)
    const wrong = this.#body.data(chunk, this, () => this.#stream.pause())
    if (wrong !== undefined) this.#break()
  }

  readonly #onTrailers = (_headers: unknown, _flags: number, fields: Fields): void => {
    if (this.#body.trailers(fields) !== undefined) this.#break()
  }

  onStreamEnd(): void {
    if (this.#stream.aborted) return
    if (this.#body.end(this) === undefined) this.#hasAll = true
    else this.#break()
  }

  override _read(): void {
    this.#stream.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      this.#answer.push(chunk)
    } catch (error) {
      done(error as Error)
      return
    }
    if (this.#stream.writableNeedDrain) this.#onRoom = done
    else done()
  }

  onStreamDrain(): void {
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
  }

  override _final(done: (error?: Error) => void): void {
    const stream = this.#stream
    if (!this.#answer.mayEnd) done(new Error('the end of an answer that is not whole'))
    else if (stream.writableFinished) done()
    else stream.end(() => done())
  }

  /** All of the answer was written. */
  onAnswered(): void {
    // Nobody sends a body behind a CONNECT that was refused.
    if (!this.#answer.isSwitched) this.destroy()
  }

  onInformation(headers: OutgoingHttpHeaders): void {
    if (!this.#stream.headersSent) this.#stream.additionalHeaders(headers)
  }

  /** Node throws for what no trailer may be: that is the end of the stream, and of nothing else. */
  readonly #onWantTrailers = (): void => {
    try {
      this.#stream.sendTrailers(this.#answerTrailers)
    } catch {
      this.#break()
    }
  }

  onHead(headers: OutgoingHttpHeaders, rest: 'nothing' | 'body' | 'body and trailers'): void {
    if (rest === 'body and trailers') {
      this.#stream.on('wantTrailers', this.#onWantTrailers)
    }
    this.#stream.respond(headers, {
      endStream: rest === 'nothing',
      waitForTrailers: rest === 'body and trailers',
      // Node's own Date is not added to answers that have none.
      sendDate: false,
    } as ServerStreamResponseOptions)
  }

  onData(bytes: Buffer): void {
    this.#stream.write(bytes)
  }

  onWhole(trailers: OutgoingHttpHeaders): void {
    this.#answerTrailers = trailers
    this.#stream.end()
  }

  /** RST_STREAM, or the end of the connection, before both sides were through. */
  onStreamOver(): void {
    if (this.destroyed || this.#isThrough) return
    const message = `HTTP/2 ended the stream with ${this.#stream.rstCode ?? 'its connection'}`
    this.destroy(Object.assign(new Error(message), { code: 'ECONNRESET' }))
  }

  get #isThrough(): boolean {
    return this.#hasAll && this.writableFinished
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isThrough && !this.#stream.closed && !this.#stream.destroyed) this.#endStream()
    done(error)
  }

  #endStream(): void {
    this.#hasClosed = true
    if (this.#answer.isWhole && !this.#isReset) {
      this.#finishStream()
    } else if (this.connects || this.#isReset) {
      // RST_STREAM with CANCEL. By `close` node would end the stream in peace first.
      addAbortSignal(AbortSignal.abort(), this.#stream)
    } else this.#break()
  }

  /** The answer is whole, and goes on its way behind the back of who has closed this. */
  #finishStream(): void {
    const stream = this.#stream
    stream.off('data', onData)
    stream.resume()
    if (stream.readableEnded) return
    // RFC 9113 8.1: a whole answer may end a request of which nobody needs the rest.
    if (stream.writableFinished) stream.close(NGHTTP2_NO_ERROR)
    else stream.once('finish', () => stream.close(NGHTTP2_NO_ERROR))
  }

  /** RST_STREAM with INTERNAL_ERROR. */
  #break(): void {
    this.#hasClosed = true
    this.#stream.destroy(new Error('an exchange that broke off'))
  }
}

/** Where a stream has the socket that it is. */
const kSocket = Symbol('upgate.socket')

type OwnedStream = ServerHttp2Stream & { [kSocket]: StreamSocket }

function socketOf(stream: ServerHttp2Stream): StreamSocket {
  return (stream as OwnedStream)[kSocket]
}

/** Closures of each stream would be a tenth of what an idle tunnel takes. */
function listen(stream: ServerHttp2Stream, socket: StreamSocket): void {
  ;(stream as OwnedStream)[kSocket] = socket
  joinSmallChunks(stream)
  stream.on('data', onData)
  stream.on('end', onEnd)
  stream.on('drain', onDrain)
  stream.on('aborted', onOver)
  stream.on('close', onOver)
}

function onData(this: ServerHttp2Stream, chunk: Buffer): void {
  socketOf(this).onStreamData(chunk)
}

function onEnd(this: ServerHttp2Stream): void {
  socketOf(this).onStreamEnd()
}

function onDrain(this: ServerHttp2Stream): void {
  socketOf(this).onStreamDrain()
}

function onOver(this: ServerHttp2Stream): void {
  flushJoined(this)
  socketOf(this).onStreamOver()
}

function onFinish(this: StreamSocket): void {
  this.onAnswered()
}

function ignore(): void {}
