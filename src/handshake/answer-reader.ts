/**
 * Follows what an upstream answers to its final head: informational answers go to the client on the way. What comes out
 * is that head and what came behind it, or a refusal.
 */

import { Refusal } from '../errors.ts'
import type { Side } from '../relay/relay.ts'
import { serializeHead } from './answer.ts'
import type { Client } from './client.ts'
import { parseResponseHead, type ResponseHead } from '../http1/response-head.ts'
import { checkSwitch } from './switch.ts'

const HEAD_BYTES_MAX = 65_536
/** Informational answers of one handshake; more is an upstream that has lost its mind. */
const INFORMATIONAL_MAX = 32

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

/** A final head, and what came behind it as latin1. */
export interface FinalHead {
  readonly head: ResponseHead
  readonly rest: string
}

export class AnswerReader {
  readonly #client: Client
  #received = ''
  #informational = 0

  constructor(client: Client) {
    this.#client = client
  }

  /** Informational answers so far. */
  get informational(): number {
    return this.#informational
  }

  /** Takes a part of the answer as latin1; `undefined` while more is needed. */
  read(text: string): FinalHead | Refusal | undefined {
    this.#received += text
    for (;;) {
      const parsed = parseResponseHead(this.#received, HEAD_BYTES_MAX)
      if (parsed === undefined) return undefined
      if ('wrong' in parsed) return new Refusal('E_UPSTREAM_PROTOCOL', { cause: parsed.wrong })
      const { head } = parsed
      this.#received = this.#received.slice(parsed.bytes)
      if (head.status >= 200 || head.status === 101) return { head, rest: this.#received }
      const refusal = this.#relayInformational(head)
      if (refusal !== undefined) return refusal
    }
  }

  /** The upstream's FIN came before a final head. */
  cutOff(): Refusal {
    return this.#received === ''
      ? new Refusal('E_UPSTREAM_RESET', { cause: 'FIN before an answer' })
      : new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'FIN in the middle of the answer head' })
  }

  /** RFC 9110 15.2: a proxy forwards 1xx answers, though not to HTTP/1.0, which has none. */
  #relayInformational(head: ResponseHead): Refusal | undefined {
    this.#informational += 1
    if (this.#informational > INFORMATIONAL_MAX) {
      return new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'too many informational answers' })
    }
    if (this.#client.httpVersion === '1.1') {
      this.#client.socket.write(serializeHead(head), 'latin1')
    }
    return undefined
  }
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
