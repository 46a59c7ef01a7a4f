/** What a listener hands on, and to whom. */

import type { Refusal } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import type { Connection, RequestHead } from '../request/facts.ts'

export interface ListenHandlers {
  /** A request whose head is there. Its exchange is over with `client.finish()` or `client.release()`, one of which must come. */
  request(head: RequestHead, connection: Connection, client: Client): void
  /** What is refused before there is a request; gives the bytes of the response, for clients that can still read one. */
  broken(refusal: Refusal, peerAddress: string): string
  /** Whether some route takes WebSockets now. */
  servesWebSocket(): boolean
  /** Whether a peer may say by the PROXY protocol whose connection it passes on; empty for one on a unix socket. */
  trusts(peerAddress: string): boolean
  /** The same, as blocks of addresses: see `packBlocks`. */
  trustedBlocks(): Uint8Array
}
