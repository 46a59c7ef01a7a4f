/** What checks hand on: who the client is, what goes to the upstream because of it, and what must not. */

import type { Fields, Refusal } from '../errors.ts'
import type { Giver, Grant } from './grant.ts'
import type { RequestFacts } from '../request/facts.ts'

/** The parts of a request that carried a token: an upstream must not see them. */
export interface Hidden {
  /** Query parameters that carried a token: they are not forwarded. */
  readonly hiddenQuery: readonly string[]
  /** Items of Sec-WebSocket-Protocol that carried a token: they are not forwarded. */
  readonly hiddenSubprotocols: readonly string[]
  /** The item to answer with when no other subprotocol was offered, since a browser wants one of its own back. */
  readonly markerSubprotocol: string | undefined
}

export interface Identity extends Hidden {
  /**
   * Goes to the upstream as X-Auth-User (percent-encoded where it is not ASCII) and into the log. Well-formed text
   * without control characters and without blanks at its ends, so that it stays the same on its way; see `isUserName`.
   */
  readonly user: string | undefined
  /** Fields for the upstream (a forward-auth server's `copy`). */
  readonly fields: Fields
  /** How long a tunnel may stay that it lets in: one of each check that passed. */
  readonly grants: readonly Grant[]
}

/** One check of a request's head. It never throws for what a client sent. */
export interface Check extends Giver {
  check(facts: RequestFacts): Identity | Refusal | Promise<Identity | Refusal>
  /** What may carry a token of this check, whether or not it is asked. Undefined for checks that look into fields alone. */
  readonly hidden?: (facts: RequestFacts) => Hidden
  /** Lower-case names of the fields that only this check may give to an upstream: a client's own are removed. */
  readonly ownFields: readonly string[]
  /**
   * For a tunnel that comes under this check by a reload: its grant itself where this check gave it; another one where a
   * check of the same name gave it, and this one knows the same credentials; undefined where they would have to be shown
   * again.
   */
  renew(grant: Grant): Grant | undefined
  /** Stops file watches, timers and idle connections. Checks that have begun are finished. */
  close(): void
}

/** As much of a logger as checks need; pino's is one. */
export interface AuthLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** How `authorize.ts` and `forward.ts` name the field that carries `Identity.user`. */
export const USER_FIELD = 'x-auth-user'

const NONE: readonly string[] = Object.freeze([])

export const nothingHidden: Hidden = Object.freeze({
  hiddenQuery: NONE,
  hiddenSubprotocols: NONE,
  markerSubprotocol: undefined,
})

/** The identity of a request that nobody asked for credentials. */
export const anonymous: Identity = Object.freeze({
  ...nothingHidden,
  user: undefined,
  fields: NONE,
  grants: Object.freeze([]),
})

const USER_CHARS_MAX = 1024
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\0-\x1f\x7f-\x9f]/

/**
 * Whether a text can be an `Identity.user`. Blanks at the ends are refused because they are lost in a field value, and
 * `"admin "` would become `admin`; lone surrogates because all of them become the same U+FFFD.
 */
export function isUserName(text: string): boolean {
  return (
    text !== '' &&
    text.length <= USER_CHARS_MAX &&
    text.trim() === text &&
    text.isWellFormed() &&
    !CONTROL.test(text)
  )
}
