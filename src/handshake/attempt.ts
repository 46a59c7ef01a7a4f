/** One attempt at one endpoint: connect, then offer the upgrade. */

import { Refusal } from '../errors.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import type { Dialer } from '../relay/dialer.ts'
import type { Answered, Granted } from './answer-reader.ts'
import { attemptDialed } from './dialed-attempt.ts'
import { dial, type DialOptions } from './dial.ts'
import { offer, type OfferOptions } from './offer.ts'

export interface AttemptOptions extends Omit<OfferOptions, 'socket' | 'timeoutMs'>, DialOptions {
  readonly endpoint: Endpoint
  readonly handshakeTimeoutMs: number
  /** Where there is one, it dials endpoints without TLS for requests without a body. */
  readonly dialer: Dialer | undefined
}

/** Never rejects. Refusals are those of `dial` and of `offer`; E_CLIENT_GONE at once when the client leaves on the way. */
export function attempt(options: AttemptOptions): Promise<Granted | Answered | Refusal> {
  const { client, endpoint, dialer } = options
  if (dialer !== undefined && endpoint.tls === undefined && !client.hasBody) {
    return attemptDialed(options, dialer)
  }
  return attemptBySocket(options)
}

function attemptBySocket(options: AttemptOptions): Promise<Granted | Answered | Refusal> {
  const { client, endpoint, handshakeTimeoutMs } = options
  return new Promise((resolve) => {
    const dialing = dial(endpoint, options, (socket) => {
      client.onGone = undefined
      if (socket instanceof Refusal) resolve(socket)
      else resolve(offer({ ...options, socket, timeoutMs: handshakeTimeoutMs }))
    })
    client.onGone = () => dialing.cancel()
  })
}
