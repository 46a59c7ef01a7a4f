/** One attempt at one endpoint: connect, then offer the upgrade. */

import { Refusal } from '../errors.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import { dial, type DialOptions } from './dial.ts'
import { offer, type Answered, type Granted, type OfferOptions } from './offer.ts'

export interface AttemptOptions extends Omit<OfferOptions, 'socket' | 'timeoutMs'>, DialOptions {
  readonly endpoint: Endpoint
  readonly handshakeTimeoutMs: number
}

/** Never rejects. Refusals are those of `dial` and of `offer`; E_CLIENT_GONE at once when the client leaves on the way. */
export function attempt(options: AttemptOptions): Promise<Granted | Answered | Refusal> {
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
