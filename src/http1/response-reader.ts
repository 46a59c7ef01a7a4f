/**
 * Follows what an upstream answers to its final head, and checks it. Informational responses are told on the way. What comes out is
 * that head and what came behind it, or a refusal.
 */

import { Refusal, type Fields } from '../errors.ts'
import { aliasOf, namedByConnection } from '../request/field-names.ts'
import { hopByHop } from '../request/headers.ts'
import type { Framing } from './framing.ts'
import { checkResponse } from './response-check.ts'
import { parseResponseHead, type ResponseHead } from './response-head.ts'

const HEAD_BYTES_MAX = 65_536
/** Informational responses to one request; more is an upstream that has lost its mind. */
export const INFORMATIONAL_MAX = 32

/** A final head that was checked, and what came behind it as latin1. */
export interface FinalHead {
  readonly head: ResponseHead
  /** Of the body; `close` behind a 101. */
  readonly framing: Framing
  readonly rest: string
}

export class ResponseReader {
  readonly #method: string
  readonly #onInformation: (head: ResponseHead) => void
  #received = ''
  /** How much of it holds no whole head. */
  #searched = 0
  #informational = 0

  /** `method`: of the request. `onInformation` gets each 1xx but 101, without what is for the connection to the upstream alone. */
  constructor(method: string, onInformation: (head: ResponseHead) => void) {
    this.#method = method
    this.#onInformation = onInformation
  }

  /** Informational responses so far. */
  get informational(): number {
    return this.#informational
  }

  /** Nothing has come. */
  get isUntouched(): boolean {
    return this.#received === '' && this.#informational === 0
  }

  /** Takes a part of the response as latin1; `undefined` while more is needed. A 101 is not checked here. */
  read(text: string): FinalHead | Refusal | undefined {
    this.#received = this.#received === '' ? text : this.#received + text
    for (;;) {
      const parsed = parseResponseHead(this.#received, HEAD_BYTES_MAX, this.#searched)
      if (parsed === undefined) {
        this.#searched = this.#received.length
        return undefined
      }
      if ('wrong' in parsed) return broken(parsed.wrong)
      const { head } = parsed
      this.#received = this.#received.slice(parsed.bytes)
      this.#searched = 0
      if (head.status >= 200 || head.status === 101) return this.#final(head)
      this.#informational += 1
      if (this.#informational > INFORMATIONAL_MAX) return broken('too many informational answers')
      this.#onInformation({ ...head, fields: informationFields(head.fields) })
    }
  }

  /** The upstream's FIN came before a final head. */
  cutOff(): Refusal {
    return this.#received === ''
      ? new Refusal('E_UPSTREAM_RESET', { cause: 'FIN before an answer' })
      : broken('FIN in the middle of the answer head')
  }

  #final(head: ResponseHead): FinalHead | Refusal {
    if (head.status === 101) return { head, framing: { kind: 'close' }, rest: this.#received }
    const framing = checkResponse(this.#method, head)
    return 'wrong' in framing ? broken(framing.wrong) : { head, framing, rest: this.#received }
  }
}

/** RFC 9110 7.6.1 and 8.6: the fields of a 1xx without hop-by-hop ones, and without those that frame a body, which it has not. */
export function informationFields(fields: Fields): string[] {
  const named = namedByConnection(fields)
  const kept: string[] = []
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string
    const lower = name.toLowerCase()
    if (hopByHop.has(lower) || lower === 'content-length' || lower === 'trailer') continue
    if (named?.has(aliasOf(lower)) !== true) kept.push(name, fields[index + 1] as string)
  }
  return kept
}

function broken(cause: string): Refusal {
  return new Refusal('E_UPSTREAM_PROTOCOL', { cause })
}
