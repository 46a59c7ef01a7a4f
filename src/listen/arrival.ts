/** What a listener hands on of a request, and to whom. */

import type http from 'node:http'
import type { Refusal } from '../errors.ts'
import type { HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import type { Connection, RequestHead } from '../request/facts.ts'

/** What happens to requests. `D` is the decision, made once per request, when its head is there. */
export interface ListenHandlers<D extends { readonly upgrades: boolean }> {
  decide(head: RequestHead, connection: Connection): D
  upgrade(decision: D, arrival: Arrival): void
  plain(decision: D, request: http.IncomingMessage, response: http.ServerResponse): void
  /** What is refused before it is decided on; the bytes of the answer, for whoever can still read one. */
  broken(refusal: Refusal, peerAddress: string): string
  /** Whether some route takes WebSockets now. */
  servesWebSocket(): boolean
  /** Whether a peer may say by the PROXY protocol whose connection it passes on; empty for one on a unix socket. */
  trusts(peerAddress: string): boolean
  /** The same, as blocks of addresses: see `packBlocks`. */
  trustedBlocks(): Uint8Array
}

/** A request to upgrade, and the connection that it came over: a socket that the parser has let go of, or a held one. */
export type Arrival = {
  /** Returns a socket to the parser for its next request. */
  readonly giveBack: (socket: RelaySocket) => void
  /** A socket's connection goes on without it: it counts until the returned function is called. Undefined where nobody counts. */
  readonly lend: ((socket: RelaySocket) => () => void) | undefined
} & (
  | {
      readonly socket: RelaySocket
      /** Bytes behind the request head. */
      readonly head: Buffer
    }
  | {
      readonly connection: HeldConnection
      /** Latin1 behind the request head, and whether the client's FIN came with it. */
      readonly rest: string
      readonly ended: boolean
    }
)
