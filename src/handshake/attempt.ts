/** One attempt at one endpoint: connect, then offer the upgrade. */

import { Refusal } from '../errors.ts'
import type { Endpoint } from '../balance/endpoint.ts'
import { dialNow } from './dial.ts'
import { offer, type Answered, type Granted, type OfferOptions } from './offer.ts'

export interface AttemptOptions extends Omit<OfferOptions, 'socket' | 'timeoutMs'> {
  readonly endpoint: Endpoint
  readonly connectTimeoutMs: number
  readonly handshakeTimeoutMs: number
}

/** Never rejects. Refusals are those of `dialNow` and of `offer`; E_CLIENT_GONE at once when the client leaves on the way. */
export function attempt(options: AttemptOptions): Promise<Granted | Answered | Refusal> {
  const { client, endpoint, connectTimeoutMs, handshakeTimeoutMs } = options
  return new Promise((resolve) => {
    const dialing = dialNow(endpoint, connectTimeoutMs, (socket) => {
      client.onGone = undefined
      if (socket instanceof Refusal) resolve(socket)
      else resolve(offer({ ...options, socket, timeoutMs: handshakeTimeoutMs }))
    })
    client.onGone = () => dialing.cancel()
  })
}
