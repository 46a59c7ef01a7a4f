/** What checks hand on: who the client is, what goes to the upstream because of it, and what must not. */

import type { Fields, Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'

export interface Identity {
  /** Goes to the upstream as X-Auth-User and into the log. */
  readonly user: string | undefined
  /** Fields for the upstream (a forward-auth server's `copy`). */
  readonly fields: Fields
  /** Query parameters that carried a token: they are not forwarded. */
  readonly hiddenQuery: readonly string[]
  /** Items of Sec-WebSocket-Protocol that carried a token: they are not forwarded. */
  readonly hiddenSubprotocols: readonly string[]
  /** The item to answer with when no other subprotocol was offered, since a browser wants one of its own back. */
  readonly markerSubprotocol: string | undefined
}

/** One check of a request's head. It never throws for what a client sent. */
export interface Check {
  readonly name: string
  check(facts: RequestFacts): Identity | Refusal | Promise<Identity | Refusal>
  /** Lower-case names of the fields that only this check may give to an upstream: a client's own are removed. */
  readonly ownFields: readonly string[]
  /** Stops file watches, timers and connections. */
  close(): void
}
