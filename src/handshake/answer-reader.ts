/** What an upstream answers to a handshake, and what its final head means for the upgrade that was offered. */

import { Refusal } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { ResponseReader } from '../http1/response-reader.ts'
import type { Side } from '../relay/relay.ts'
import { checkSwitch } from './switch.ts'

/** The upstream switched protocols, rightly. */
export interface Granted {
  readonly kind: 'granted'
  readonly head: ResponseHead
  /** Lower-case token. */
  readonly protocol: string
  readonly upstream: Side
  /** It came over a stream of a connection that others share. */
  readonly isShared?: boolean
}

/** The upstream gave another final answer; what came behind its head is unread. */
export interface Answered {
  readonly kind: 'answered'
  readonly head: ResponseHead
  readonly upstream: Side
  readonly isShared?: boolean
}

/** For a handshake of this client, which gets informational answers at once (RFC 9110 15.2); not with HTTP/1.0, which has none. */
export function answerReader(client: Client): ResponseReader {
  return new ResponseReader(client.method, (head) => client.inform(head))
}

/** What a final head means for the upgrade that was offered: granted, answered, or E_UPSTREAM_SWITCH. */
export function judge(
  head: ResponseHead,
  upstream: Side,
  offered: { readonly tokens: readonly string[]; readonly websocketKey: string | undefined },
): Granted | Answered | Refusal {
  if (head.status !== 101) return { kind: 'answered', head, upstream }
  const switched = checkSwitch(head, offered.tokens, offered.websocketKey)
  return 'wrong' in switched
    ? new Refusal('E_UPSTREAM_SWITCH', { cause: switched.wrong })
    : { kind: 'granted', head, protocol: switched.protocol, upstream }
}
