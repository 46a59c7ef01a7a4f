/** One attempt at one endpoint: connect, then offer the upgrade. */

import { Refusal } from '../errors.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import type { Dialer } from '../relay/dialer.ts'
import type { RelaySocket } from '../relay/relay.ts'
import type { Answered, Granted } from './answer-reader.ts'
import { attemptDialed } from './dialed-attempt.ts'
import { dial, type Dialing, type DialOptions } from './dial.ts'
import { offer, type OfferOptions } from './offer.ts'
import { isShared, type SharedConnections } from './shared.ts'

export interface AttemptOptions extends Omit<OfferOptions, 'socket' | 'timeoutMs'>, DialOptions {
  readonly endpoint: Endpoint
  readonly handshakeTimeoutMs: number
  /** Where there is one, it dials endpoints without TLS for requests without a body. */
  readonly dialer: Dialer | undefined
  /** For endpoints that speak HTTP/2. */
  readonly shared: SharedConnections
}

type Outcome = Granted | Answered | Refusal

/**
 * Never rejects. Refusals are those of `dial` and of `offer`; E_CLIENT_GONE at once when the client leaves on the way. A WebSocket
 * goes over a shared connection where the endpoint has them and takes it there (RFC 8441); every other upgrade is one of HTTP/1.1.
 */
export function attempt(options: AttemptOptions): Promise<Outcome> {
  const { client, endpoint } = options
  const isShareable = endpoint.http2 !== undefined && isWebSocket(options) && client.bodyDone
  return isShareable ? attemptShared(options) : attemptAlone(options)
}

function isWebSocket({ tokens }: AttemptOptions): boolean {
  return tokens.length === 1 && tokens[0]?.toLowerCase() === 'websocket'
}

/** Over a connection of its own. */
function attemptAlone(options: AttemptOptions): Promise<Outcome> {
  const { client, endpoint, dialer } = options
  if (dialer !== undefined && endpoint.tls === undefined && client.bodyDone) {
    return attemptDialed(options, dialer, attemptBySocket)
  }
  return attemptBySocket(options)
}

async function attemptBySocket(options: AttemptOptions): Promise<Outcome> {
  const socket = await opened(options, (onDone) => dial(options.endpoint, options, onDone))
  return socket instanceof Refusal ? socket : offerOver(options, socket)
}

/** What the endpoint has not looked at is sent once more. */
async function attemptShared(options: AttemptOptions, isRepeatable = true): Promise<Outcome> {
  const { endpoint, shared } = options
  const socket = await opened(options, (onDone) => shared.open(endpoint, options, onDone))
  if (socket instanceof Refusal) return socket
  if (!isShared(socket)) return offerOver(options, socket)
  if (!socket.takesWebSocket) {
    socket.destroy()
    return attemptAlone(options)
  }
  const outcome = await offerOver(options, socket)
  if (!(outcome instanceof Refusal)) return { ...outcome, isShared: true }
  return isRepeatable && socket.isUnprocessed ? attemptShared(options, false) : outcome
}

/** What `open` connects to, unless the client leaves before. */
function opened<S extends RelaySocket>(
  { client }: AttemptOptions,
  open: (onDone: (result: S | Refusal) => void) => Dialing,
): Promise<S | Refusal> {
  return new Promise((resolve) => {
    const dialing = open((result) => {
      client.onGone = undefined
      // An error that comes before anybody else listens must find somebody.
      if (!(result instanceof Refusal)) result.on('error', ignore)
      resolve(result)
    })
    client.onGone = () => dialing.cancel()
  })
}

function offerOver(options: AttemptOptions, socket: RelaySocket): Promise<Outcome> {
  return offer({ ...options, socket, timeoutMs: options.handshakeTimeoutMs })
}

function ignore(): void {}
