/**
 * The client's end of an exchange on a connection that is a socket. What the client sends behind its request waits here,
 * bounded, for the end of the exchange: no endpoint gets a byte of it before its 101 (RFC 9931), and nobody looks at it
 * before the response is out.
 *
 *     body: waits -> is read -> done          response: none -> begun -> whole -> out
 *     over: the next head is read | the connection closes, lingering | a tunnel has it
 */

import type { RelaySocket, Side } from '../relay/relay.ts'
import type { RequestHead } from '../request/facts.ts'
import { fieldValues, listItems } from '../request/headers.ts'
import { resetSocket } from '../relay/reset.ts'
import type { BodyReader, Client, ResponseStart } from './client.ts'
import { WITHIN_BODY } from './lingering-close.ts'
import { bodyScanner, type BodyScanner, type Framing } from './framing.ts'
import { ResponseWriter, serializeHead } from './response-writer.ts'
import { trailerFields } from './trailers.ts'

/** The connection, as its exchange needs it. Exactly one of `next`, `close` and `release` is called, and at most once. */
export interface ExchangeOwner {
  readonly socket: RelaySocket
  /** How many bytes are read ahead behind a request. */
  readonly aheadMax: number
  /** Whether a connection may go on to another request. */
  readonly mayGoOn: boolean
  /** The exchange is over; `ahead` is what was read behind it. */
  next(ahead: readonly Buffer[], ended: boolean): void
  /** Closes behind the response. `owesBody`: the client may be in the middle of its body. */
  close(owesBody: boolean): void
  /** The connection is not ours any more. */
  release(): void
  /** See `Side`. */
  lend(): (() => () => void) | undefined
}

export interface SocketClientOptions {
  readonly head: RequestHead
  readonly framing: Framing
  /** Read behind the head. */
  readonly ahead: Buffer
  /** The client's FIN was behind that. */
  readonly ended: boolean
  readonly endMeansGone: boolean
}

/** How long a client may take for the end of a response that nobody waits for any more. */
const OUT_MS = 30_000

export class SocketClient implements Client {
  readonly httpVersion: '1.0' | '1.1'
  readonly method: string
  readonly framing: Framing
  readonly held = undefined
  readonly #owner: ExchangeOwner
  readonly #body: BodyScanner
  #keepsAlive: boolean
  #awaitsContinue: boolean
  #endMeansGone: boolean
  #ahead: Buffer[] = []
  #aheadBytes = 0
  #ended: boolean
  /** For whatever reason but a FIN behind the request. */
  #gone = false
  #goneBy: 'eof' | 'reset' = 'eof'
  #onGone: (() => void) | undefined
  #reader: BodyReader | undefined
  #isReaderPaused = false
  #bodyBegun = false
  #bodyBroken = false
  #response: ResponseWriter | undefined
  /** The response says that the connection closes behind it. */
  #closes = false
  #isOver = false

  constructor(owner: ExchangeOwner, options: SocketClientOptions) {
    const { head, framing, ahead, ended, endMeansGone } = options
    this.#owner = owner
    this.httpVersion = head.httpVersion
    this.method = head.method
    this.framing = framing
    this.#body = bodyScanner(framing)
    this.#keepsAlive = keepsAlive(head)
    this.#awaitsContinue = framing.kind !== 'none' && expectsContinue(head)
    this.#ended = ended
    this.#endMeansGone = endMeansGone
    if (ahead.length > 0) this.#hold(ahead)
  }

  get socket(): RelaySocket {
    return this.#owner.socket
  }

  get gone(): boolean {
    return this.#gone || this.socket.destroyed || (this.#ended && this.#endMeansGone)
  }

  get goneBy(): 'eof' | 'reset' {
    return this.#goneBy
  }

  get endMeansGone(): boolean {
    return this.#endMeansGone
  }

  set endMeansGone(means: boolean) {
    this.#endMeansGone = means
    if (this.gone) this.#tellGone()
  }

  set onGone(listener: (() => void) | undefined) {
    this.#onGone = listener
    if (this.gone) this.#tellGone()
  }

  get bodyDone(): boolean {
    return this.#body.done
  }

  get bodyBegun(): boolean {
    return this.#bodyBegun
  }

  get awaitsContinue(): boolean {
    return this.#awaitsContinue
  }

  get hasAhead(): boolean {
    return this.#body.done && this.#aheadBytes > 0
  }

  endConnection(): void {
    this.#keepsAlive = false
  }

  get responded(): boolean {
    return this.#response !== undefined
  }

  readBody(reader: BodyReader): void {
    this.#reader = reader
    this.#isReaderPaused = false
    if (this.#body.done) return
    this.#bodyBegun = true
    this.#readAhead()
    // What was ahead of a FIN may have been the rest of the body: that shows only now.
    if (this.#ended) this.#heedEnd()
  }

  pauseBody(): void {
    this.#isReaderPaused = true
    this.socket.pause()
  }

  resumeBody(): void {
    if (!this.#isReaderPaused) return
    this.#isReaderPaused = false
    this.#readAhead()
    this.#resumeIfRoom()
  }

  dropBody(): void {
    this.#reader = undefined
    this.#isReaderPaused = false
  }

  inform(head: Omit<ResponseStart, 'framing' | 'closes'>): void {
    if (this.httpVersion === '1.0' || this.#response !== undefined || this.socket.destroyed) return
    if (head.status === 100) {
      if (!this.#awaitsContinue) return
      this.#awaitsContinue = false
    }
    this.socket.write(serializeHead(head), 'latin1')
  }

  respond(head: ResponseStart): ResponseWriter {
    const closes = head.closes === true || head.framing === 'close' || !this.#mayGoOn()
    const fields = [...head.fields, ...connectionField(closes, this.httpVersion)]
    this.#response = new ResponseWriter(this.socket, { ...head, fields })
    this.#closes = closes
    return this.#response
  }

  release(): Side {
    const lend = this.#owner.lend()
    const ended = this.#ended
    const unread = this.#ahead
    this.socket.pause()
    this.#letGo()
    this.#owner.release()
    return { socket: this.socket, unread, ended, lend }
  }

  finish(): void {
    if (this.#isOver) return
    const response = this.#response
    if (response?.hasEnded !== true || this.socket.destroyed) {
      this.destroy()
      return
    }
    this.#reader = undefined
    this.#isReaderPaused = false
    if (!this.#bodyBroken) this.#readAhead()
    if (!this.#closes && !this.#bodyBroken && !this.#body.done) this.#dropRest(response)
    else this.#end(response)
  }

  destroy(byReset = false): void {
    // What was written stays written: a response that breaks off has begun.
    this.socket.uncork()
    if (byReset) resetSocket(this.socket)
    else this.socket.destroy()
    this.#gone = true
    this.#tellGone()
    this.#letGo()
  }

  /** What came from the client. */
  onData(chunk: Buffer): void {
    if (this.#aheadBytes > 0 || this.#body.done || this.#reader === undefined) {
      this.#hold(chunk)
      if (this.#reader !== undefined) this.#readAhead()
      return
    }
    const behind = this.#scan(chunk)
    if (behind !== undefined && behind.length > 0) this.#hold(behind)
  }

  onEnd(): void {
    this.#ended = true
    this.#heedEnd()
  }

  onClose(byReset: boolean): void {
    if (byReset && !this.#gone) this.#goneBy = 'reset'
    this.#gone = true
    this.#tellGone()
  }

  onDrain(): void {
    this.#response?.onDrain?.()
  }

  /** RFC 9110 10.1.1: a client that was not told to continue may send its body all the same, or may not: nobody knows where its next request begins. */
  #mayGoOn(): boolean {
    // Behind its FIN a client sends nothing more, but something may be ahead.
    const hasMore = !this.#ended || this.#aheadBytes > 0
    return this.#keepsAlive && !this.#awaitsContinue && hasMore && this.#owner.mayGoOn
  }

  /** The bytes behind the body; undefined when its framing is broken. */
  #scan(chunk: Buffer): Buffer | undefined {
    const reader = this.#reader
    const scanned = this.#body.scan(chunk, (content) => reader?.onContent(content))
    if (scanned === undefined) {
      this.#bodyBroken = true
      this.socket.pause()
      reader?.onBodyBroken()
      return undefined
    }
    if (scanned.done) this.#onBodyEnd()
    return scanned.bytes === chunk.length ? undefined : chunk.subarray(scanned.bytes)
  }

  #onBodyEnd(): void {
    const trailers = trailerFields(this.#body.trailers)
    if (typeof trailers !== 'string') {
      this.#reader?.onBodyEnd(trailers)
      return
    }
    this.#bodyBroken = true
    this.#reader?.onBodyBroken()
  }

  /** Reads of the body what is here already. */
  #readAhead(): void {
    while (!this.#body.done && !this.#isReaderPaused && !this.#bodyBroken) {
      const chunk = this.#ahead.shift()
      if (chunk === undefined) break
      this.#aheadBytes -= chunk.length
      const behind = this.#scan(chunk)
      if (behind === undefined) continue
      this.#ahead.unshift(behind)
      this.#aheadBytes += behind.length
    }
    this.#resumeIfRoom()
  }

  #hold(chunk: Buffer): void {
    this.#ahead.push(chunk)
    this.#aheadBytes += chunk.length
    if (this.#aheadBytes >= this.#owner.aheadMax) this.socket.pause()
  }

  #resumeIfRoom(): void {
    if (this.#isReaderPaused || this.#bodyBroken || this.#isOver) return
    if (this.#aheadBytes < this.#owner.aheadMax) this.socket.resume()
  }

  #heedEnd(): void {
    const isWithinBody = !this.#body.done && (this.#bodyBegun || this.#aheadBytes === 0)
    if (isWithinBody) this.#gone = true
    if (this.gone) this.#tellGone()
  }

  #tellGone(): void {
    const listener = this.#onGone
    this.#onGone = undefined
    listener?.()
  }

  /** The response has promised another request: the rest of the body is read on the way there, within bounds. */
  #dropRest(response: ResponseWriter): void {
    let bytes = 0
    const stop = this.#cutAfter(WITHIN_BODY.ms)
    const end = (): void => {
      stop()
      if (!this.#isOver) this.#end(response)
    }
    this.#reader = {
      onContent: ({ length }) => {
        bytes += length
        if (bytes > WITHIN_BODY.bytesMax) this.socket.destroy()
      },
      // What is behind it is held only when this has returned.
      onBodyEnd: () => process.nextTick(end),
      onBodyBroken: end,
    }
    this.#readAhead()
  }

  /** Cuts the connection after `ms`, unless the result is called before. */
  #cutAfter(ms: number): () => void {
    const { socket } = this
    const timer = setTimeout(() => socket.destroy(), ms)
    const stop = (): void => {
      clearTimeout(timer)
      socket.off('close', stop)
    }
    socket.on('close', stop)
    return stop
  }

  #end(response: ResponseWriter): void {
    const { done } = this.#body
    const ahead = this.#ahead
    const ended = this.#ended
    const mayGoOn = !this.#closes && !this.#bodyBroken && done
    this.#letGo()
    this.#whenOut(response, () => {
      if (mayGoOn) this.#owner.next(ahead, ended)
      else this.#owner.close(!done)
    })
  }

  /** A client that does not read the end of a response cannot keep its connection by that. */
  #whenOut(response: ResponseWriter, then: () => void): void {
    if (response.isDone) {
      then()
      return
    }
    const stop = this.#cutAfter(OUT_MS)
    response.onDone = () => {
      stop()
      then()
    }
  }

  #letGo(): void {
    this.#isOver = true
    this.#reader = undefined
    this.#onGone = undefined
    this.#ahead = []
    this.#aheadBytes = 0
  }
}

/** RFC 9112 9.3. */
function keepsAlive({ httpVersion, method, fields }: RequestHead): boolean {
  // RFC 9931 4: behind a CONNECT that was refused may come what was meant for the tunnel.
  if (method === 'CONNECT') return false
  const options = listItems(fieldValues(fields, 'connection'))
  const has = (wanted: string): boolean => options.some((option) => option.toLowerCase() === wanted)
  return httpVersion === '1.1' ? !has('close') : has('keep-alive') && !has('close')
}

function expectsContinue({ httpVersion, fields }: RequestHead): boolean {
  if (httpVersion === '1.0') return false
  return listItems(fieldValues(fields, 'expect')).some(
    (item) => item.toLowerCase() === '100-continue',
  )
}

/** RFC 9112 9.3: HTTP/1.1 persists unless it says `close`, HTTP/1.0 closes unless it says `keep-alive`. */
function connectionField(closes: boolean, httpVersion: '1.0' | '1.1'): readonly string[] {
  if (closes) return ['Connection', 'close']
  return httpVersion === '1.0' ? ['Connection', 'keep-alive'] : []
}
