/**
 * One attempt at one endpoint through a dialer: the connection is no socket of node's as long as nobody needs one. The
 * endpoint's name is resolved first, and its addresses are tried under one deadline: the next one when one fails. Where one is
 * slow and others are left, they race (RFC 8305 5), which is for sockets: a dialer sends its request as soon as it is connected.
 */

import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { Refusal } from '../errors.ts'
import type { ResponseReader } from '../http1/response-reader.ts'
import type { Dialed, Dialer, DialListener, DialTarget } from '../relay/dialer.ts'
import { answerReader, judge, type Answered, type Granted } from './answer-reader.ts'
import type { AttemptOptions } from './attempt.ts'
import { connectRefusal, connectTimeout } from './dial.ts'
import { handshakeTimeout } from './offer.ts'
import { ATTEMPT_DELAY_MS } from './race.ts'
import { noLocalAddress, Targets } from './targets.ts'

type Outcome = Granted | Answered | Refusal

/**
 * Never rejects; for endpoints without TLS and requests without a body. Refusals are those of `dial` and of `offer`. `race` makes
 * the attempt by sockets, for the time that is left.
 */
export function attemptDialed(
  options: AttemptOptions,
  dialer: Dialer,
  race: (options: AttemptOptions) => Promise<Outcome>,
): Promise<Outcome> {
  return new Promise((resolve) => new DialedAttempt(options, { dialer, race, resolve }).start())
}

interface Ways {
  readonly dialer: Dialer
  readonly race: (options: AttemptOptions) => Promise<Outcome>
  readonly resolve: (outcome: Outcome) => void
}

class DialedAttempt implements DialListener {
  readonly #options: AttemptOptions
  readonly #ways: Ways
  readonly #reader: ResponseReader
  /** What is still to be tried; undefined where there is one place alone. */
  #targets: Targets | undefined
  #deadlineMs = Infinity
  #lookupTimer: NodeJS.Timeout | undefined
  #dialed: Dialed | undefined
  #isOver = false

  constructor(options: AttemptOptions, ways: Ways) {
    this.#options = options
    this.#ways = ways
    this.#reader = answerReader(options.client)
  }

  start(): void {
    const { client, endpoint, connectTimeoutMs } = this.#options
    const { address, local } = endpoint
    client.onGone = this.#onClientGone
    if (this.#isOver) return
    const isLiteral = address.kind === 'tcp' && isIP(address.host) !== 0
    if (address.kind === 'unix' || (isLiteral && local === undefined)) {
      this.#dial(address, connectTimeoutMs)
      return
    }
    this.#deadlineMs = performance.now() + connectTimeoutMs
    if (isLiteral) {
      this.#begin([address.host], address.port)
      return
    }
    // The lookup cannot be called off: when it is late, or the client is gone, its result is of no use to anybody.
    if (connectTimeoutMs !== Infinity) {
      this.#lookupTimer = setTimeout(this.#onLate, connectTimeoutMs)
    }
    const { lookup: find = lookup } = this.#options
    find(address.host, { all: true }, (error, found) => {
      if (this.#isOver) return
      clearTimeout(this.#lookupTimer)
      if (error !== null) {
        this.#settle(connectRefusal(error))
        return
      }
      this.#begin(
        found.map((each) => each.address),
        address.port,
      )
    })
  }

  #begin(hosts: readonly string[], port: number): void {
    this.#targets = new Targets(hosts, port, this.#options.endpoint.local)
    const target = this.#targets.next()
    if (target === undefined) this.#settle(noLocalAddress(hosts))
    else this.#dialOneOf(this.#targets, target)
  }

  #dialOneOf({ left }: Targets, target: DialTarget): void {
    const leftMs = this.#deadlineMs - performance.now()
    if (leftMs <= 0) this.#onLate()
    else this.#dial(target, left > 0 ? Math.min(leftMs, ATTEMPT_DELAY_MS) : leftMs)
  }

  #dial(target: DialTarget, connectMs: number): void {
    const { client, preface, handshakeTimeoutMs: handshakeMs } = this.#options
    const head = (preface?.toString('latin1') ?? '') + this.#options.head
    const request = { target, client: client.held, head, connectMs, handshakeMs }
    const dialed = this.#ways.dialer.dial(request, this)
    if (typeof dialed === 'string') this.onFailed('connect', dialed, false)
    else this.#dialed = dialed
  }

  onAnswer(text: string, fin: boolean): void {
    const dialed = this.#dialed as Dialed
    const { informational } = this.#reader
    const read = this.#reader.read(text)
    if (read instanceof Refusal) this.#refuse(read)
    else if (read !== undefined) {
      const outcome = judge(read.head, dialed.side(read.rest, fin), this.#options)
      if (outcome instanceof Refusal) this.#refuse(outcome)
      else this.#settle(outcome)
    } else if (fin) this.#refuse(this.#reader.cutOff())
    else dialed.proceed(this.#reader.informational > informational)
  }

  onFailed(stage: 'connect' | 'answer', code: string, timedOut: boolean): void {
    this.#dialed = undefined
    const { handshakeTimeoutMs } = this.#options
    if (stage === 'connect') {
      const targets = this.#targets
      if (timedOut && targets !== undefined && targets.left > 0) {
        this.#race()
        return
      }
      const next = targets?.after(code)
      if (targets !== undefined && next !== undefined) this.#dialOneOf(targets, next)
      else if (timedOut) this.#onLate()
      else this.#settle(connectRefusal({ code, message: `connect ${code}` }))
    } else if (timedOut) {
      this.#settle(handshakeTimeout(handshakeTimeoutMs))
    } else this.#settle(new Refusal('E_UPSTREAM_RESET', { cause: code }))
  }

  /** Nothing was sent yet. */
  #race(): void {
    const connectTimeoutMs = this.#deadlineMs - performance.now()
    if (connectTimeoutMs <= 0) {
      this.#onLate()
      return
    }
    this.#isOver = true
    void this.#ways.race({ ...this.#options, connectTimeoutMs }).then(this.#ways.resolve)
  }

  readonly #onLate = (): void => {
    this.#settle(connectTimeout(this.#options.connectTimeoutMs))
  }

  readonly #onClientGone = (): void => {
    this.#refuse(new Refusal('E_CLIENT_GONE'))
  }

  #refuse(refusal: Refusal): void {
    this.#dialed?.abandon()
    this.#settle(refusal)
  }

  #settle(outcome: Outcome): void {
    this.#isOver = true
    clearTimeout(this.#lookupTimer)
    this.#options.client.onGone = undefined
    this.#ways.resolve(outcome)
  }
}
