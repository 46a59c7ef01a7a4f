/**
 * One request to one endpoint, and its answer on the way to the client.
 *
 *     connecting --> asking: head, body up --> answering: head, body down --> over
 *          |            |                          |
 *          +------------+--> Failure, and the      +--> ForwardEnd with brokenOff,
 *                            caller may try again       and the client cut off
 *
 * What is waited for is limited all the time: the connection by `connectMs`; the upstream's head, from the end of the
 * request on, and its taking more of the body, by `responseMs`; the client's next part of the body by `bodyMs`;
 * from the head on any byte either way, by `idleMs`.
 */

import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http'
import type { EndpointLease } from '../balance/endpoint.ts'
import { catalogue, Refusal, type Fields } from '../errors.ts'
import { brokenRefusal, UNPROCESSED_CODE, type Dialing } from '../handshake/dial.ts'
import type { Client } from '../http1/client.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { prefaceFor } from '../handshake/proxy-header.ts'
import { isShared } from '../handshake/shared.ts'
import { Silence } from '../handshake/silence.ts'
import { passedTrailers } from '../outgoing/trailers.ts'
import { answerHead } from './answer-head.ts'
import { Download, type DownloadWatcher } from './download.ts'
import type { Connecting } from './endpoint-agent.ts'
import { DialError } from './filtered-agent.ts'
import type { BreakOff, ForwardEnd, PlainExchange } from './exchange.ts'
import { breakOffBy } from './node-errors.ts'
import { ResponseError } from './response-filter.ts'
import { Upload, type UploadWatcher } from './upload.ts'

/** RFC 9110 9.2.2: a proxy repeats only these by itself. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

export interface AttemptOptions {
  readonly exchange: PlainExchange
  readonly lease: EndpointLease
  /** `performance.now()` at the start of the exchange. */
  readonly startMs: number
}

/** Nothing was sent to the client yet. */
export interface Failure {
  readonly refusal: Refusal
  /** Where the request may be sent again: over a new connection to the same endpoint, to the next one, or nowhere. */
  readonly again: 'fresh' | 'next' | 'never'
}

export class Attempt implements Connecting, UploadWatcher, DownloadWatcher {
  readonly connectTimeoutMs: number
  readonly preface: Buffer | undefined
  readonly ended: Promise<ForwardEnd | Failure>
  readonly #options: AttemptOptions
  readonly #client: Client
  readonly #silence = new Silence()
  readonly #resolve: (end: ForwardEnd | Failure) => void
  #dialing: Dialing | undefined
  #request: ClientRequest | undefined
  #upload: Upload | undefined
  #download: Download | undefined
  #isConnected = false
  #isHttp2 = false
  #isOver = false
  #informationCount = 0
  #headMs = 0

  constructor(options: AttemptOptions) {
    const { promise, resolve } = Promise.withResolvers<ForwardEnd | Failure>()
    this.ended = promise
    this.#resolve = resolve
    this.#options = options
    const { exchange, lease } = options
    const { client } = exchange
    this.#client = client
    this.connectTimeoutMs = exchange.timeouts.connectMs
    this.preface = prefaceFor(lease.endpoint, exchange.facts, () => client.socket)
    client.onGone = this.#onClientGone
  }

  get exchange(): PlainExchange {
    return this.#options.exchange
  }

  onDialing(dialing: Dialing): void {
    this.#dialing = dialing
  }

  /** The request is made, but has no connection yet. */
  begin(request: ClientRequest): void {
    this.#request = request
    // Beyond its default node would drop fields silently; the size of the head bounds them.
    request.maxHeadersCount = 0
    request.on('information', this.#onInformation)
    request.on('close', this.#onRequestClose)
    if (this.#client.bodyDone) request.end()
  }

  /** The request has got its connection and is about to be written. */
  connected(request: ClientRequest): void {
    this.#isConnected = true
    this.#isHttp2 = request.socket !== null && isShared(request.socket)
    if (!this.#client.bodyDone) {
      this.#upload = new Upload(this.#client, request, this)
      this.#upload.start()
    }
    this.onUploadTurn()
  }

  /** The head of the final answer. */
  answered(answer: IncomingMessage): void {
    if (this.#isOver) return
    const { exchange, lease, startMs } = this.#options
    const { method, httpVersion } = this.#client
    lease.succeeded()
    const head = answerHead(method, httpVersion, responseHeadOf(answer), exchange.responseEdits)
    if (head instanceof Refusal) {
      this.#fail(head, 'never')
      return
    }
    const download = new Download(head, answer, this.#client, this)
    try {
      download.start()
    } catch (error) {
      download.stop()
      // What the upstream sent is checked: these are fields of the configuration.
      this.#fail(Refusal.ofError(error), 'never')
      return
    }
    this.#headMs = performance.now() - startMs
    this.#download = download
    this.#silence.watch(exchange.timeouts.idleMs, this.#onIdle)
  }

  /** The request cannot be made at all. */
  refuse(refusal: Refusal): void {
    this.#fail(refusal, 'never')
  }

  /** An error of the request, its connection or its answer's grammar. */
  broken(error: NodeJS.ErrnoException): void {
    if (this.#isOver) return
    const download = this.#download
    if (download === undefined) this.#failBy(error)
    // The whole answer is there: only the rest of the upload is lost.
    else if (download.isReceived) this.#endUpload()
    else this.#breakOff(breakOffBy(error))
  }

  #failBy(error: NodeJS.ErrnoException): void {
    if (error instanceof DialError) {
      const { refusal } = error
      const isEndpoints = catalogue[refusal.code].source === 'upstream'
      if (isEndpoints) this.#options.lease.failed(refusal.code)
      this.#fail(refusal, isEndpoints ? 'next' : 'never')
      return
    }
    const isRead = error instanceof ResponseError
    const refusal = isRead ? error.refusal : brokenRefusal(error)
    if (isRead || refusal.code === 'E_UPSTREAM_PROTOCOL') {
      this.#fail(refusal, 'never')
      return
    }
    const isUnprocessed = error.code === UNPROCESSED_CODE
    const isFreshWanted = isUnprocessed || this.#request?.reusedSocket === true
    // That an idle connection was closed, or one with others on it, says nothing about the endpoint's health.
    if (!isFreshWanted) this.#options.lease.failed(refusal.code)
    if (!this.#isRepeatable(isUnprocessed)) this.#fail(refusal, 'never')
    else this.#fail(refusal, isFreshWanted ? 'fresh' : 'next')
  }

  /** Not a byte has gone out, or nobody has read them, or it does no harm to send them all twice. */
  #isRepeatable(isUnprocessed: boolean): boolean {
    if (!this.#isConnected) return true
    const { method, framing } = this.#client
    const isHarmless = isUnprocessed || IDEMPOTENT.has(method)
    return framing.kind === 'none' && isHarmless && this.#informationCount === 0
  }

  readonly #onInformation = (information: InformationEvent): void => {
    if (this.#isOver) return
    this.#informationCount += 1
    this.#client.inform({
      status: information.statusCode,
      reason: information.statusMessage,
      fields: information.rawHeaders,
    })
    this.onUploadTurn()
  }

  /** Also comes when the connection goes back to the agent. */
  readonly #onRequestClose = (): void => {
    if (!this.#isOver && this.#download?.isReceived === true) this.#endUpload()
  }

  readonly #onClientGone = (): void => {
    const client = this.#client
    if (this.#download === undefined) {
      this.#fail(new Refusal('E_CLIENT_GONE', { cause: client.goneBy }), 'never')
    } else {
      const cause = 'the client left before the end of the answer'
      this.#breakOff({ by: 'client', reason: client.goneBy, cause })
    }
  }

  passUp(trailers: Fields): Fields {
    return passedTrailers(trailers, this.exchange.lost)
  }

  passDown(trailers: Fields): Fields {
    return passedTrailers(trailers, { edits: this.exchange.responseEdits })
  }

  onUploaded(): void {
    this.#silence.touch()
  }

  onUploadTurn(): void {
    if (this.#isOver) return
    if (this.#download !== undefined) {
      this.#silence.touch()
      this.#settleWhole()
      return
    }
    const client = this.#client
    const { exchange } = this.#options
    const { responseMs, bodyMs } = exchange.timeouts
    const upload = this.#upload
    const isUpstreamsTurn =
      upload === undefined ||
      upload.isDone ||
      upload.isBlocked ||
      (client.awaitsContinue && upload.bytes === 0)
    if (isUpstreamsTurn) this.#silence.watch(responseMs, this.#onUpstreamSilent)
    else this.#silence.watch(bodyMs, this.#onClientSilent)
  }

  readonly #onUpstreamSilent = (): void => {
    const { responseMs } = this.exchange.timeouts
    const cause = `no answer head after ${responseMs} ms (timeouts.response)`
    this.#fail(new Refusal('E_RESPONSE_TIMEOUT', { cause }), 'never')
  }

  readonly #onClientSilent = (): void => {
    const { bodyMs } = this.exchange.timeouts
    const cause = `nothing more of the body after ${bodyMs} ms (timeouts.body)`
    this.#fail(new Refusal('E_HEAD_TIMEOUT', { cause }), 'never')
  }

  readonly #onIdle = (): void => {
    const cause = `no byte for ${this.exchange.timeouts.idleMs} ms`
    this.#breakOff({ by: 'gateway', reason: 'idle', cause })
  }

  onDownloaded(): void {
    this.#silence.touch()
  }

  onUploadBroken(): void {
    if (this.#isOver) return
    const cause = 'the framing of the body is broken'
    if (this.#download === undefined)
      this.#fail(new Refusal('E_BODY_MALFORMED', { cause }), 'never')
    else this.#breakOff({ by: 'client', reason: 'error', cause })
  }

  onDownloadDone(): void {
    this.#settleWhole()
  }

  onDownloadBroken(): void {
    if (this.#isOver) return
    const cause = 'the upstream closed in the middle of its answer'
    this.#breakOff({ by: 'upstream', reason: 'eof', cause })
  }

  #endUpload(): void {
    this.#upload?.stop()
    this.#settleWhole()
  }

  /** Ends the exchange once the answer is out and the body is in. */
  #settleWhole(): void {
    if (this.#isOver || this.#download?.isDone !== true) return
    if (this.#upload?.isDone === false) return
    this.#settleAnswered(this.#download, undefined)
  }

  #fail(refusal: Refusal, again: Failure['again']): void {
    if (this.#isOver) return
    this.#settle({ refusal, again })
  }

  #breakOff(brokenOff: BreakOff): void {
    const download = this.#download
    if (this.#isOver || download === undefined) return
    this.#settleAnswered(download, download.isDone ? undefined : brokenOff)
    if (!download.isDone) this.#client.destroy(download.head.framing === 'close')
  }

  #settleAnswered(download: Download, brokenOff: BreakOff | undefined): void {
    this.#settle({
      status: download.head.status,
      endpoint: this.#options.lease.endpoint,
      endpointHttp2: this.#isHttp2,
      headMs: this.#headMs,
      bytesUp: this.#upload?.bytes ?? 0,
      bytesDown: download.bytes,
      brokenOff,
    })
  }

  #settle(end: ForwardEnd | Failure): void {
    this.#isOver = true
    this.#silence.end()
    this.#client.onGone = undefined
    this.#upload?.stop()
    this.#download?.stop()
    if (!this.#isConnected) this.#dialing?.cancel()
    // A whole request with a whole answer leaves its connection to the agent.
    if (this.#request?.writableEnded !== true || this.#download?.isDone !== true) {
      this.#request?.destroy()
    }
    this.#resolve(end)
  }
}

function responseHeadOf(answer: IncomingMessage): ResponseHead {
  const { statusCode = 0, statusMessage = '', rawHeaders, httpVersionMinor } = answer
  const minorVersion = httpVersionMinor === 0 ? 0 : 1
  return { minorVersion, status: statusCode, reason: statusMessage, fields: rawHeaders }
}
