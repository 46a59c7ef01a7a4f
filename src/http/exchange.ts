/** What goes into a plain exchange (a request that asks for no upgrade, and its answer), and what comes out of it. */

import type { Endpoint, EndpointLease } from '../balance/endpoint.ts'
import type { FieldEdits, TimeoutsConfig } from '../config/config.ts'
import type { Fields, Refusal } from '../errors.ts'
import type { LostFields } from '../outgoing/trailers.ts'
import type { Client } from '../http1/client.ts'
import type { EndedBy, EndReason } from '../relay/tunnel-end.ts'
import type { RequestFacts } from '../request/facts.ts'

export interface PlainExchange {
  /** Nobody has read its body yet, and it has no response. */
  readonly client: Client
  readonly facts: RequestFacts
  /** The request target to send upstream, byte for byte. */
  readonly target: string
  /**
   * The fields to send upstream, without hop-by-hop ones. The framing of the client's body stays where they have it and
   * is added where they do not; so is Host.
   */
  readonly fields: Fields
  /** What `fields` have lost, for the trailers behind them. */
  readonly lost: LostFields
  readonly responseEdits: FieldEdits
  /** `lifetimeMs` has no meaning here. */
  readonly timeouts: TimeoutsConfig
  /** The next endpoint to try, or why there is none. */
  acquire(tried: ReadonlySet<Endpoint>): EndpointLease | Refusal
  /** Called at the start of each attempt: the last endpoint named is the one that a Refusal came from. */
  onAttempt?(endpoint: Endpoint): void
}

/** An exchange whose answer began to go to the client. */
export interface ForwardEnd {
  readonly status: number
  readonly endpoint: Endpoint
  /** It went there by HTTP/2. */
  readonly endpointHttp2: boolean
  /** From the start of the exchange to the head of the answer. */
  readonly headMs: number
  /** Bytes of the request's body that went to the upstream. */
  readonly bytesUp: number
  /** Bytes of the answer's body that went to the client. */
  readonly bytesDown: number
  /** Undefined when the client got the whole answer. Otherwise its connection is closed, so that it sees that it did not. */
  readonly brokenOff: BreakOff | undefined
}

export interface BreakOff {
  readonly by: EndedBy
  readonly reason: EndReason
  /** For the log: an error code or what was broken. */
  readonly cause: string
}
