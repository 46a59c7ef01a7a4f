/**
 * Opens the connection to an endpoint: TCP, unix socket or TLS, under one deadline. What comes out is a connected
 * socket that nobody has read from, without our listeners, or a Refusal.
 */

import { isIP, Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls'
import type { Endpoint, EndpointTls } from '../balance/endpoint.ts'
import { Refusal } from '../errors.ts'
import type { Code } from '../errors.ts'

/** Gets the connected socket, or one of E_CONNECT_TIMEOUT, E_UPSTREAM_REFUSED, E_UPSTREAM_UNREACHABLE, E_UPSTREAM_TLS, E_CLIENT_GONE. */
export type DialDone = (result: Socket | Refusal) => void

export interface DialOptions {
  /** For name lookup, TCP and TLS together; `Infinity` for no deadline. */
  readonly connectTimeoutMs: number
  /** How much the socket may hold each way before it stalls whoever fills it; node's own 64 KiB when left out. */
  readonly bufferBytes?: number
}

/** A dial that is under way. */
export interface Dialing {
  /** The client is gone: closes the socket and ends with E_CLIENT_GONE. Without effect after the end. */
  cancel(): void
}

/** Above it `setTimeout` fires at once. */
const timerMaxMs = 2 ** 31 - 1

/** One for all dials: the peer's FIN must not end our side, and what is written goes out at once. */
const socketOptions = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
} as const

/**
 * Connects, and calls `onDone` exactly once and never before it returns. A socket has no error listener when `onDone`
 * gets it: put one there before `onDone` returns, as Node ends the process for an error that nobody listens to.
 */
export function dial(endpoint: Endpoint, options: DialOptions, onDone: DialDone): Dialing {
  return new Dial(endpoint, options, onDone)
}

/** Sockets are streams and take their option, though node's types do not say so. */
function withBuffer(
  bufferBytes: number,
): typeof socketOptions & { readonly highWaterMark: number } {
  return { ...socketOptions, highWaterMark: bufferBytes }
}

class Dial implements Dialing {
  readonly #endpoint: Endpoint
  readonly #socket: Socket
  readonly #onDone: DialDone
  readonly #timer: NodeJS.Timeout | undefined
  readonly #bufferBytes: number | undefined
  #secure: TLSSocket | undefined
  #isOver = false

  constructor(endpoint: Endpoint, options: DialOptions, onDone: DialDone) {
    const { connectTimeoutMs, bufferBytes } = options
    this.#endpoint = endpoint
    this.#onDone = onDone
    this.#timer =
      connectTimeoutMs <= timerMaxMs
        ? setTimeout(onDeadline, connectTimeoutMs, this, connectTimeoutMs)
        : undefined
    this.#socket = new Socket(bufferBytes === undefined ? socketOptions : withBuffer(bufferBytes))
    this.#bufferBytes = bufferBytes
    this.#socket.on('connect', this.#onConnect)
    this.#socket.on('error', this.#onError)
    this.#socket.connect(endpoint.address)
  }

  cancel(): void {
    this.refuse(clientGone())
  }

  refuse(refusal: Refusal): void {
    if (this.#isOver) return
    const socket = this.#release()
    socket.on('error', ignoreError)
    socket.destroy()
    this.#socket.destroy()
    this.#onDone(refusal)
  }

  readonly #onConnect = (): void => {
    const { tls } = this.#endpoint
    if (tls === undefined) {
      this.#onDone(this.#release())
      return
    }
    this.#unlisten()
    const state = tlsState(tls)
    const secure = connectTls({
      ...tlsOptions(tls.serverName, state, this.#socket),
      ...(this.#bufferBytes === undefined ? {} : { highWaterMark: this.#bufferBytes }),
    })
    this.#secure = secure
    // TLS 1.3 sends its tickets with or after the first data, so this one listener stays.
    secure.on('session', state.onSession)
    secure.on('secureConnect', this.#onSecure)
    secure.on('error', this.#onError)
  }

  readonly #onSecure = (): void => this.#onDone(this.#release())

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.refuse(
      this.#secure === undefined
        ? connectRefusal(error)
        : new Refusal('E_UPSTREAM_TLS', { cause: causeOf(error) }),
    )
  }

  /** The socket as it is to be handed over or thrown away, free of this dial. */
  #release(): Socket {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#unlisten()
    return this.#secure ?? this.#socket
  }

  #unlisten(): void {
    this.#socket.removeListener('connect', this.#onConnect)
    this.#socket.removeListener('error', this.#onError)
    this.#secure?.removeListener('secureConnect', this.#onSecure)
    this.#secure?.removeListener('error', this.#onError)
  }
}

/** What all connections to one endpoint share. An EndpointTls is new after a change of the config, so no session outlives the CA it was verified by. */
interface TlsState {
  readonly context: SecureContext
  /** The last ticket; its resumption saves the certificates and their verification. Node gives out those of verified peers alone. */
  session: Buffer | undefined
  readonly onSession: (session: Buffer) => void
}

const tlsStates = new WeakMap<EndpointTls, TlsState>()

function tlsState(tls: EndpointTls): TlsState {
  const known = tlsStates.get(tls)
  if (known !== undefined) return known
  const context = createSecureContext(tls.ca === undefined ? {} : { ca: tls.ca })
  const state: TlsState = {
    context,
    session: undefined,
    onSession: (session) => {
      state.session = session
    },
  }
  tlsStates.set(tls, state)
  return state
}

function tlsOptions(serverName: string, state: TlsState, socket: Socket): ConnectionOptions {
  return {
    socket,
    secureContext: state.context,
    // The name that the certificate is checked for. SNI carries names only (RFC 6066 3).
    host: serverName,
    servername: isIP(serverName) === 0 ? serverName : '',
    ALPNProtocols: ['http/1.1'],
    // Said again, as NODE_TLS_REJECT_UNAUTHORIZED would turn the default off.
    rejectUnauthorized: true,
    ...(state.session === undefined ? {} : { session: state.session }),
  }
}

function onDeadline(late: Dial, connectTimeoutMs: number): void {
  late.refuse(connectTimeout(connectTimeoutMs))
}

/** No connection within the time for it. */
export function connectTimeout(connectTimeoutMs: number): Refusal {
  return new Refusal('E_CONNECT_TIMEOUT', { cause: `not connected after ${connectTimeoutMs} ms` })
}

/** What a failed name lookup or connect means. */
export function connectRefusal(error: {
  readonly code?: string | undefined
  readonly message: string
}): Refusal {
  const code = codes.get(error.code) ?? 'E_UPSTREAM_UNREACHABLE'
  return new Refusal(code, { cause: causeOf(error) })
}

function clientGone(): Refusal {
  return new Refusal('E_CLIENT_GONE', { cause: 'gone before the upstream was connected' })
}

/** Of the errors of name lookup and connect; for several addresses the error has the code of the first. Any other is E_UPSTREAM_UNREACHABLE. */
const codes: ReadonlyMap<string | undefined, Code> = new Map<string | undefined, Code>([
  ['ECONNREFUSED', 'E_UPSTREAM_REFUSED'],
  ['ECONNRESET', 'E_UPSTREAM_REFUSED'],
  // A unix socket without its file, and one whose backlog is full.
  ['ENOENT', 'E_UPSTREAM_REFUSED'],
  ['EAGAIN', 'E_UPSTREAM_REFUSED'],
  ['ETIMEDOUT', 'E_CONNECT_TIMEOUT'],
])

/** The text of a TLS error can hold a line of OpenSSL's own, and names out of the peer's certificate: one short line is kept. */
function causeOf(error: { readonly code?: string | undefined; readonly message: string }): string {
  const line = error.message.split('\n', 1).join('').slice(0, causeCharsMax)
  return error.code === undefined || line.includes(error.code) ? line : `${error.code}: ${line}`
}

const causeCharsMax = 200

function ignoreError(): void {}
