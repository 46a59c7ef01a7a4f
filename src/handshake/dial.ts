/**
 * Opens the connection to an endpoint: TCP, unix socket or TLS, under one deadline. What comes out is a connected
 * socket that nobody has read from, without our listeners, or a Refusal.
 */

import { lookup } from 'node:dns'
import { isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Endpoint, EndpointTls } from '../balance/endpoint.ts'
import type { LocalAddresses } from '../balance/local-addresses.ts'
import type { TlsSession } from '../balance/tls-sessions.ts'
import { Refusal } from '../errors.ts'
import type { Code } from '../errors.ts'
import { exhaustion } from '../exhausted.ts'
import { isSpared } from '../relay/descriptor.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { ATTEMPT_DELAY_MS, Race } from './race.ts'
import { noLocalAddress, type TcpTarget } from './targets.ts'

/** Gets the connected socket, or one of E_CONNECT_TIMEOUT, E_UPSTREAM_REFUSED, E_UPSTREAM_UNREACHABLE, E_UPSTREAM_TLS, E_GATEWAY_EXHAUSTED, E_CLIENT_GONE. */
export type DialDone = (result: Socket | Refusal) => void

export interface DialOptions {
  /** For name lookup, TCP and TLS together; `Infinity` for no deadline. */
  readonly connectTimeoutMs: number
  /** How much the socket may hold each way before it stalls whoever fills it; node's own 64 KiB when left out. */
  readonly bufferBytes?: number
  /** What goes out first, before TLS. */
  readonly preface?: Buffer | undefined
  /** What the endpoint may choose from by ALPN (RFC 7301), the best first; HTTP/1.1 alone when left out. */
  readonly alpn?: readonly string[] | undefined
  /** What finds the addresses of a name; node's own when left out. */
  readonly lookup?: Lookup | undefined
}

type Lookup = (
  host: string,
  options: { readonly all: true },
  onDone: (
    error: NodeJS.ErrnoException | null,
    found: readonly { readonly address: string }[],
  ) => void,
) => void

/** What is connected to. */
export type Place = Pick<Endpoint, 'address' | 'local' | 'tls'>

/** A dial that is under way. */
export interface Dialing {
  /** The client is gone: closes the socket and ends with E_CLIENT_GONE. Without effect after the end. */
  cancel(): void
}

const HTTP1 = ['http/1.1']

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
export function dial(endpoint: Place, options: DialOptions, onDone: DialDone): Dialing {
  return new Dial(endpoint, options, onDone)
}

/** Sockets are streams and take their option, though node's types do not say so. */
function withBuffer(
  bufferBytes: number,
): typeof socketOptions & { readonly highWaterMark: number } {
  return { ...socketOptions, highWaterMark: bufferBytes }
}

class Dial implements Dialing {
  readonly #endpoint: Place
  /** The one that is connected, or the only one. */
  #socket: Socket | undefined
  readonly #onDone: DialDone
  readonly #timer: NodeJS.Timeout | undefined
  readonly #bufferBytes: number | undefined
  readonly #preface: Buffer | undefined
  readonly #alpn: readonly string[]
  #secure: TLSSocket | undefined
  /** What was offered to be resumed. */
  #session: TlsSession | undefined
  readonly #lookup: Lookup
  #race: Race<Refusal> | undefined
  /** The sockets that race. */
  readonly #racing = new Map<Socket, TcpTarget>()
  #nextTimer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(endpoint: Place, options: DialOptions, onDone: DialDone) {
    const { connectTimeoutMs, bufferBytes, preface, alpn = HTTP1 } = options
    this.#lookup = options.lookup ?? lookup
    this.#endpoint = endpoint
    this.#onDone = onDone
    this.#timer =
      connectTimeoutMs <= TIMER_MAX_MS
        ? setTimeout(onDeadline, connectTimeoutMs, this, connectTimeoutMs)
        : undefined
    this.#bufferBytes = bufferBytes
    this.#preface = preface
    this.#alpn = alpn
    const { address, local } = endpoint
    const isOne = address.kind === 'unix' || (local === undefined && isIP(address.host) !== 0)
    if (isOne) {
      this.#socket = this.#newSocket()
      this.#socket.on('connect', this.#onConnect).on('error', this.#onError).connect(address)
    } else this.#find(address, local)
  }

  #newSocket(): Socket {
    const bytes = this.#bufferBytes
    return new Socket(bytes === undefined ? socketOptions : withBuffer(bytes))
  }

  #find({ host, port }: TcpTarget, local: LocalAddresses | undefined): void {
    if (isIP(host) !== 0) {
      process.nextTick(this.#onFound, [host], port, local)
      return
    }
    this.#lookup(host, { all: true }, (error, found) => {
      if (error === null) {
        this.#onFound(
          found.map((each) => each.address),
          port,
          local,
        )
      } else this.refuse(connectRefusal(error))
    })
  }

  readonly #onFound = (
    hosts: readonly string[],
    port: number,
    local: LocalAddresses | undefined,
  ): void => {
    if (this.#isOver) return
    this.#race = new Race(hosts, port, local)
    if (this.#race.hasNext) this.#startNext(this.#race)
    else this.refuse(noLocalAddress(hosts))
  }

  #startNext(race: Race<Refusal>): void {
    const target = race.start()
    if (target !== undefined) this.#enter(race, target)
  }

  #enter(race: Race<Refusal>, target: TcpTarget): void {
    const socket = this.#newSocket()
    this.#racing.set(socket, target)
    socket.on('connect', () => this.#onWon(socket))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#onLost(race, socket, error))
    socket.connect({ host: target.host, port: target.port, localAddress: target.from ?? '' })
    clearTimeout(this.#nextTimer)
    if (race.hasNext) {
      this.#nextTimer = setTimeout(() => this.#startNext(race), ATTEMPT_DELAY_MS)
    }
  }

  #onWon(socket: Socket): void {
    this.#racing.delete(socket)
    this.#endRace()
    socket.removeAllListeners('connect').removeAllListeners('error')
    this.#socket = socket.on('error', this.#onError)
    this.#onConnect()
  }

  #onLost(race: Race<Refusal>, socket: Socket, error: NodeJS.ErrnoException): void {
    const target = this.#racing.get(socket)
    if (this.#isOver || target === undefined) return
    this.#racing.delete(socket)
    const next = race.failed(target, error.code, connectRefusal(error))
    if (next !== undefined) this.#enter(race, next)
    else if (race.isLost) this.refuse(race.failure ?? connectRefusal(error))
  }

  /** Closes all that still race. */
  #endRace(): void {
    clearTimeout(this.#nextTimer)
    for (const socket of this.#racing.keys()) {
      socket.removeAllListeners('connect').removeAllListeners('error')
      socket.on('error', ignoreError).destroy()
    }
    this.#racing.clear()
  }

  cancel(): void {
    this.refuse(clientGone())
  }

  refuse(refusal: Refusal): void {
    if (this.#isOver) return
    this.#release()
    this.#endRace()
    for (const socket of [this.#secure, this.#socket]) socket?.on('error', ignoreError).destroy()
    this.#onDone(refusal)
  }

  readonly #onConnect = (): void => {
    const socket = this.#socket as Socket
    if (isSpared(socket)) {
      this.refuse(connectRefusal({ code: 'EMFILE', message: 'connect EMFILE' }))
      return
    }
    const { tls } = this.#endpoint
    if (this.#preface !== undefined) socket.write(this.#preface)
    if (tls === undefined) {
      this.#release()
      this.#onDone(socket)
      return
    }
    this.#unlisten()
    this.#session = tls.sessions.take()
    const secure = connectTls({
      ...tlsOptions(tls, this.#session, socket),
      ALPNProtocols: [...this.#alpn],
      ...(this.#bufferBytes === undefined ? {} : { highWaterMark: this.#bufferBytes }),
    })
    this.#secure = secure
    // TLS 1.3 sends its tickets with or after the first data, so this one listener stays.
    secure.on('session', sessionKeeper(tls, this.#session?.checkedAtMs))
    secure.on('secureConnect', this.#onSecure)
    secure.on('error', this.#onError)
  }

  readonly #onSecure = (): void => {
    const { handshakes, sessions } = this.#endpoint.tls as EndpointTls
    if (this.#secure?.isSessionReused() === true) handshakes.resumed += 1
    else {
      handshakes.full += 1
      if (this.#session !== undefined) sessions.refused(this.#session)
    }
    const secure = this.#secure as TLSSocket
    this.#release()
    this.#onDone(secure)
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (this.#secure !== undefined) this.refuse(tlsRefusal(error))
    else this.refuse(connectRefusal(error))
  }

  /** What is handed over or thrown away is free of this dial. */
  #release(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#unlisten()
  }

  #unlisten(): void {
    this.#socket?.removeListener('connect', this.#onConnect)
    this.#socket?.removeListener('error', this.#onError)
    this.#secure?.removeListener('secureConnect', this.#onSecure)
    this.#secure?.removeListener('error', this.#onError)
  }
}

/** Keeps what a connection may be resumed by. Node tells of no session before the certificate was looked at. */
function sessionKeeper(tls: EndpointTls, offeredCheckedAtMs: number | undefined) {
  return function (this: TLSSocket, data: Buffer): void {
    if (!this.authorized && !tls.insecure) return
    const checkedAtMs = this.isSessionReused() ? offeredCheckedAtMs : undefined
    tls.sessions.keep(data, this.getProtocol() === 'TLSv1.3', checkedAtMs)
  }
}

function tlsOptions(
  { serverName, context, insecure }: EndpointTls,
  session: TlsSession | undefined,
  socket: Socket,
): ConnectionOptions {
  return {
    socket,
    secureContext: context,
    // The name that the certificate is checked for. SNI carries names only (RFC 6066 3).
    host: serverName,
    servername: isIP(serverName) === 0 ? serverName : '',
    // Said in either case, as NODE_TLS_REJECT_UNAUTHORIZED would turn the default off.
    rejectUnauthorized: !insecure,
    ...(session === undefined ? {} : { session: session.data }),
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
  readonly syscall?: string | undefined
  readonly message: string
}): Refusal {
  const own = exhaustion(error)
  if (own !== undefined) return own
  const code = codes.get(error.code) ?? 'E_UPSTREAM_UNREACHABLE'
  return new Refusal(code, { cause: causeOf(error) })
}

/** The code of an error for what an endpoint said in HTTP/2 that HTTP/2 does not allow. */
export const MALFORMED_CODE = 'ERR_HTTP2_MALFORMED'

/** That of a request that the endpoint has not looked at: any may be sent again (RFC 9113 8.7). */
export const UNPROCESSED_CODE = 'ERR_HTTP2_UNPROCESSED'

/** What it means that a connection broke behind the dial, or what came over it did: E_UPSTREAM_TLS, E_UPSTREAM_PROTOCOL or E_UPSTREAM_RESET. */
export function brokenRefusal(error: NodeJS.ErrnoException): Refusal {
  const { code } = error
  if (code?.startsWith('ERR_SSL_') === true) return tlsRefusal(error)
  // HPE_: node's parser found the grammar of an answer broken.
  const isMalformed = code === MALFORMED_CODE || code?.startsWith('HPE_') === true
  return new Refusal(isMalformed ? 'E_UPSTREAM_PROTOCOL' : 'E_UPSTREAM_RESET', {
    cause: causeOf(error),
  })
}

/**
 * What a failure of TLS means. With TLS 1.3 some come behind the dial: the endpoint looks at our certificate when we are
 * connected already.
 */
function tlsRefusal(error: {
  readonly code?: string | undefined
  readonly message: string
}): Refusal {
  const meaning = alerts.get(error.code)
  const cause = meaning === undefined ? causeOf(error) : `${error.code}: ${meaning}`
  return new Refusal('E_UPSTREAM_TLS', { cause })
}

/** Of the endpoint's alerts those that one of our settings may be the reason of. */
const alerts: ReadonlyMap<string | undefined, string> = new Map<string | undefined, string>([
  [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'the endpoint wants a client certificate (tls.cert and tls.key)',
  ],
  [
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
    'the endpoint wants other ciphers, or a client certificate (tls.cert and tls.key)',
  ],
  [
    'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
    'the endpoint does not trust the issuer of our client certificate (tls.cert)',
  ],
  [
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'the endpoint has no version of TLS that we accept (tls.minVersion)',
  ],
])

/** Nobody waits for the connection any more. */
export function clientGone(): Refusal {
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
