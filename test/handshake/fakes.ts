/** A held connection and a dialer that do nothing but tell what they were asked for. */

import type { Socket } from 'node:net'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import type { Address } from '../../src/config/config.ts'
import { HeldClient, type HeldClientOptions } from '../../src/http1/held-client.ts'
import { Http1Connection, type ConnectionOwner } from '../../src/listen/http1-connection.ts'
import type { HeldConnection, HeldListener } from '../../src/relay/acceptor.ts'
import type { Dialed, Dialer, DialListener, DialRequest } from '../../src/relay/dialer.ts'
import type { Client } from '../../src/http1/client.ts'
import type { RelaySocket, Side } from '../../src/relay/relay.ts'
import type { RequestHead } from '../../src/request/facts.ts'
import { socketPair, type SocketPair } from '../support/socket-pair.ts'

/** What becomes a socket is one end of a pair; the test has the other one. */
export class FakeConnection implements HeldConnection, AsyncDisposable {
  readonly peerAddress = '192.0.2.1'
  listener: HeldListener | undefined
  /** What was asked for, in its order. */
  readonly calls: string[] = []
  readonly #pair: SocketPair

  private constructor(pair: SocketPair) {
    this.#pair = pair
  }

  static async create(): Promise<FakeConnection> {
    return new FakeConnection(await socketPair())
  }

  get peer(): Socket {
    return this.#pair.peer
  }

  hear(): void {
    this.calls.push('hear')
  }

  close(): void {
    this.listener = undefined
    this.calls.push('close')
  }

  toSocket(): Socket {
    this.listener = undefined
    this.calls.push('toSocket')
    // It flows as soon as somebody listens, as a new one does.
    return this.#pair.socket.resume()
  }

  side(rest: string, ended: boolean): Side<Socket> {
    this.calls.push('side')
    return fakeSide(rest, ended, this.#pair.socket)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pair[Symbol.asyncDispose]()
  }
}

function fakeSide(rest: string, ended: boolean, socket: Socket): Side<Socket> {
  return { socket, unread: rest === '' ? [] : [Buffer.from(rest, 'latin1')], ended }
}

const HEAD: RequestHead = { method: 'GET', target: '/', httpVersion: '1.1', fields: [] }
export const HTTP1_0: RequestHead = { ...HEAD, httpVersion: '1.0' }

/** Connections that go on to nothing. */
export const OWNER: ConnectionOwner = {
  limits: { headBytesMax: 65_536, headTimeoutMs: 5000, keepAliveTimeoutMs: 5000, halfClose: false },
  isLast: false,
  onRequest: () => {
    throw new Error('another request')
  },
  onBroken: () => '',
  onExchangeOver: () => {},
  onGone: () => {},
  lend: () => undefined,
}

/** A client whose connection is held, with a handshake for a WebSocket unless `options` say otherwise. */
export function heldClient(
  connection: HeldConnection,
  options: Partial<HeldClientOptions> & { readonly owner?: ConnectionOwner } = {},
): HeldClient {
  const { head = HEAD, rest = '', ended = false, owner = OWNER } = options
  return new HeldClient({
    connection,
    head,
    rest,
    ended,
    endMeansGone: true,
    toSocketClient: ({ socket, endMeansGone }) =>
      new Http1Connection(owner, { socket, isStream: false }).takeExchange(
        { head, rest },
        ended,
        endMeansGone,
      ),
    onOver: () => {},
    ...options,
  })
}

/** A client with a socket, in the middle of the exchange of a POST with these fields. */
export function socketClient(socket: RelaySocket, fields: readonly string[] = []): Client {
  const head: RequestHead = { ...HEAD, method: 'POST', fields }
  const connection = new Http1Connection(OWNER, { socket, isStream: false })
  return connection.takeExchange({ head, rest: '' }, false, false)
}

/** One dial: what was asked for, what was told to do with it, and how a test answers it. */
export interface FakeDial extends DialListener {
  readonly request: DialRequest
  readonly calls: readonly string[]
}

export class FakeDialer implements Dialer {
  readonly dials: FakeDial[] = []
  /** What a dial returns in place of itself, the next one first. */
  readonly errors: string[] = []
  #wake: (() => void) | undefined
  #awaited = 0

  dial(request: DialRequest, listener: DialListener): Dialed | string {
    const calls: string[] = []
    this.dials.push({
      request,
      calls,
      onAnswer: (text, fin) => listener.onAnswer(text, fin),
      onFailed: (stage, code, timedOut) => listener.onFailed(stage, code, timedOut),
    })
    this.#wake?.()
    const error = this.errors.shift()
    if (error !== undefined) return error
    return {
      proceed: (refresh) => calls.push(refresh ? 'refresh' : 'proceed'),
      abandon: () => calls.push('abandon'),
      side: (rest, ended) => {
        calls.push('side')
        return fakeSide(rest, ended, undefined as unknown as Socket)
      },
    }
  }

  /** The next dial, past or to come. */
  async next(): Promise<FakeDial> {
    this.#awaited += 1
    while (this.dials.length < this.#awaited) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.dials[this.#awaited - 1] as FakeDial
  }
}

export function fakeEndpoint(address: Address): Endpoint {
  return {
    id: 'u',
    url: 'u',
    address,
    tls: undefined,
    weight: 1,
    inUse: 0,
    up: true,
    draining: false,
  }
}
