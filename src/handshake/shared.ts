/** What may carry a request to an endpoint besides a connection of its own: a stream on one that many share. How it is made is not decided here. */

import type { Endpoint } from '../balance/endpoint.ts'
import type { Refusal } from '../errors.ts'
import type { RelaySocket } from '../relay/relay.ts'
import type { DialOptions, Dialing } from './dial.ts'

/** Speaks HTTP/1.1 to the gateway, for one request. */
export interface SharedSocket extends RelaySocket {
  /** Whether the endpoint takes a WebSocket over such a connection. */
  readonly takesWebSocket: boolean
  /** It has failed, and the endpoint has not looked at the request: any request may be sent again (RFC 9113 8.7). */
  readonly isUnprocessed: boolean
}

/** Gets a stream; or a connection of its own, which has agreed on HTTP/1.1; or a Refusal: one of `dial`, E_UPSTREAM_RESET, or E_UPSTREAM_PROTOCOL. */
export type OpenDone = (opened: SharedSocket | RelaySocket | Refusal) => void

export interface SharedConnections {
  /** Like `dial`, for an endpoint that shares its connections. */
  open(endpoint: Endpoint, options: DialOptions, onDone: OpenDone): Dialing
}

export function isShared(socket: SharedSocket | RelaySocket): socket is SharedSocket {
  return 'takesWebSocket' in socket
}
