/**
 * The connections to one endpoint that speaks HTTP/2. A request gets a stream on one that has room; where none has it waits for
 * the next one, and as many are dialed as those who wait need.
 */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Endpoint, EndpointHttp2 } from '../balance/endpoint.ts'
import { Refusal } from '../errors.ts'
import {
  clientGone,
  connectTimeout,
  dial,
  type Dialing,
  type DialOptions,
} from '../handshake/dial.ts'
import type { OpenDone } from '../handshake/shared.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { EndpointConnection } from './endpoint-connection.ts'
import { EndpointStream } from './endpoint-stream.ts'

/** Best first: an endpoint that knows HTTP/1.1 alone is served by that. */
const PROTOCOLS = ['h2', 'http/1.1']

/** A connection on its way. */
interface Attempt {
  readonly cancel: () => void
}

interface Waiter {
  readonly options: DialOptions
  readonly onDone: OpenDone
  readonly timer: NodeJS.Timeout | undefined
}

export class EndpointConnections {
  readonly #endpoint: Endpoint
  readonly #http2: EndpointHttp2
  readonly #open = new Set<EndpointConnection>()
  readonly #attempts = new Set<Attempt>()
  readonly #waiters = new Set<Waiter>()
  /** Streams that a new connection will have, as far as is known. */
  #capacity: number
  #isClosed = false

  constructor(endpoint: Endpoint, http2: EndpointHttp2) {
    this.#endpoint = endpoint
    this.#http2 = http2
    this.#capacity = http2.streamsMax
  }

  /** Nobody uses it or waits. */
  get isUnused(): boolean {
    return this.#open.size + this.#attempts.size + this.#waiters.size === 0
  }

  /** See `SharedConnections`. */
  open(options: DialOptions, onDone: OpenDone): Dialing {
    const { connectTimeoutMs } = options
    const waiter: Waiter = {
      options,
      onDone,
      timer:
        connectTimeoutMs <= TIMER_MAX_MS
          ? setTimeout(
              () => this.#refuse(waiter, connectTimeout(connectTimeoutMs)),
              connectTimeoutMs,
            )
          : undefined,
    }
    this.#waiters.add(waiter)
    // Nobody is answered before `open` returns.
    queueMicrotask(this.#serve)
    return { cancel: () => this.#refuse(waiter, clientGone()) }
  }

  /** Takes no more requests: each connection is closed when its last stream is over, and who waits still gets one. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#open) connection.close()
    this.#stopAttempts()
  }

  /** Cuts what is left, and refuses who waits. */
  destroy(): void {
    this.close()
    for (const waiter of this.#waiters) this.#refuse(waiter, clientGone())
    for (const connection of this.#open) connection.destroy()
  }

  readonly #serve = (): void => {
    if (this.#waiters.size === 0) return
    for (const connection of this.#open) {
      for (const waiter of this.#waiters) {
        if (connection.room === 0) break
        const stream = new EndpointStream(connection, waiter.options.bufferBytes)
        this.#settle(waiter)
        waiter.onDone(stream)
      }
    }
    this.#grow()
    if (this.#isClosed) this.#stopAttempts()
  }

  /** Dials as often as those who wait need. */
  #grow(): void {
    if (this.#attempts.size * this.#capacity >= this.#waiters.size) return
    const waiting = [...this.#waiters]
    while (this.#attempts.size * this.#capacity < waiting.length) {
      const next = waiting[this.#attempts.size * this.#capacity] as Waiter
      this.#dial(next.options.connectTimeoutMs)
    }
  }

  #dial(connectTimeoutMs: number): void {
    const startMs = performance.now()
    const options = { connectTimeoutMs, alpn: PROTOCOLS }
    const dialing = dial(this.#endpoint, options, (result) => {
      this.#attempts.delete(attempt)
      if (result instanceof Refusal) this.#failed(result)
      else if (this.#endpoint.tls === undefined || (result as TLSSocket).alpnProtocol === 'h2') {
        this.#greet(result, connectTimeoutMs, startMs)
      } else this.#giveAway(result)
    })
    const attempt: Attempt = { cancel: () => dialing.cancel() }
    this.#attempts.add(attempt)
  }

  /** The endpoint has chosen HTTP/1.1: the connection is for one request. */
  #giveAway(socket: Socket): void {
    const [waiter] = this.#waiters
    // The next ones need a connection each.
    this.#capacity = 1
    if (waiter === undefined) {
      socket.on('error', ignore).destroy()
      return
    }
    this.#settle(waiter)
    waiter.onDone(socket)
    this.#serve()
  }

  /** Waits for the SETTINGS. What is left of the time since `startMs` is for them. */
  #greet(socket: Socket, connectTimeoutMs: number, startMs: number): void {
    const scheme = this.#endpoint.tls === undefined ? 'http' : 'https'
    const { streamsMax } = this.#http2
    let isReady = false
    /** What is told of it if it ends before it is ready. */
    let refusal: Refusal | undefined
    const connection = new EndpointConnection(
      socket,
      { scheme, streamsMax },
      {
        onReady: () => {
          isReady = true
          this.#leaveGreeting(attempt, timer)
          this.#ready(connection)
        },
        onRoom: this.#serve,
        onClosed: (cause, isMalformed) => {
          this.#leaveGreeting(attempt, timer)
          if (this.#open.delete(connection)) this.#http2.connections -= 1
          if (isReady) this.#serve()
          else this.#failed(refusal ?? this.#noHttp2(cause, isMalformed))
        },
      },
    )
    const leftMs = connectTimeoutMs - (performance.now() - startMs)
    const timer = leftMs <= TIMER_MAX_MS ? setTimeout(() => onLate(), leftMs) : undefined
    const onLate = (): void => {
      refusal = connectTimeout(connectTimeoutMs)
      connection.destroy('no SETTINGS')
    }
    const attempt: Attempt = {
      cancel: () => {
        refusal = clientGone()
        // Who comes before it is closed needs another one.
        this.#leaveGreeting(attempt, timer)
        connection.destroy()
      },
    }
    this.#attempts.add(attempt)
  }

  /** Who closes it without a word may be back, or another endpoint may be there: that is no question of the protocol. */
  #noHttp2(cause: string, isMalformed: boolean): Refusal {
    if (!isMalformed)
      return new Refusal('E_UPSTREAM_RESET', { cause: `no SETTINGS came: ${cause}` })
    const whose = this.#endpoint.tls === undefined ? 'HTTP/2 with prior knowledge' : 'HTTP/2'
    return new Refusal('E_UPSTREAM_PROTOCOL', { cause: `no answer in ${whose}: ${cause}` })
  }

  #leaveGreeting(attempt: Attempt, timer: NodeJS.Timeout | undefined): void {
    clearTimeout(timer)
    this.#attempts.delete(attempt)
  }

  #ready(connection: EndpointConnection): void {
    this.#capacity = Math.max(1, connection.capacity)
    this.#open.add(connection)
    this.#http2.connections += 1
    this.#serve()
    if (this.#isClosed) connection.close()
  }

  /** Who has come since then has time for another one. */
  #failed(refusal: Refusal): void {
    if (refusal.code === 'E_CLIENT_GONE') return
    if (refusal.code === 'E_CONNECT_TIMEOUT') {
      this.#serve()
      return
    }
    if (this.#attempts.size > 0) return
    for (const waiter of this.#waiters) this.#refuse(waiter, refusal)
  }

  #refuse(waiter: Waiter, refusal: Refusal): void {
    if (!this.#settle(waiter)) return
    if (this.#waiters.size === 0) this.#stopAttempts()
    waiter.onDone(refusal)
  }

  #settle(waiter: Waiter): boolean {
    clearTimeout(waiter.timer)
    return this.#waiters.delete(waiter)
  }

  /** Nobody waits for them. */
  #stopAttempts(): void {
    if (this.#waiters.size > 0) return
    for (const attempt of this.#attempts) attempt.cancel()
  }
}

function ignore(): void {}
