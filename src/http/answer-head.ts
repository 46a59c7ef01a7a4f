/** From an upstream's answer head to the one that the client gets: checked, with the framing that this client understands. */

import type { FieldEdits } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import type { ResponseStart } from '../http1/client.ts'
import type { Framing } from '../http1/framing.ts'
import { checkResponse } from '../http1/response-check.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { fieldValue } from '../request/headers.ts'
import { incomingFields } from '../outgoing/outgoing.ts'
import { withFraming } from './field-list.ts'

export interface AnswerHead extends ResponseStart {
  /** Where the upstream's body ends. */
  readonly bodyFraming: Framing
}

/** Refusals: E_UPSTREAM_SWITCH for a 101, and E_UPSTREAM_PROTOCOL for what `checkResponse` finds wrong. */
export function answerHead(
  method: string,
  clientVersion: '1.0' | '1.1',
  answer: ResponseHead,
  edits: FieldEdits,
): AnswerHead | Refusal {
  const { status, reason, fields: received } = answer
  if (status === 101) return unaskedSwitch()
  const framing = checkResponse(method, answer)
  if ('wrong' in framing) return new Refusal('E_UPSTREAM_PROTOCOL', { cause: framing.wrong })
  const edited = incomingFields(received, edits, status)
  const length = fieldValue(edited, 'content-length')
  if (method === 'HEAD' || status === 204 || status === 304) {
    // RFC 9110 8.6: a 204 has no Content-Length; the others have that of the body they leave out.
    const fields = withFraming(edited, undefined, status === 204 ? undefined : length)
    return { status, reason, fields: withoutTrailer(fields), framing: 'none', bodyFraming: framing }
  }
  const hasLength = length !== undefined && framing.kind !== 'chunked' && framing.kind !== 'close'
  const ended = clientVersion === '1.1' ? 'chunked' : 'close'
  const clientFraming = hasLength ? 'length' : ended
  const isChunked = clientFraming === 'chunked'
  const fields = withFraming(
    edited,
    isChunked ? 'chunked' : undefined,
    hasLength ? length : undefined,
  )
  const kept = isChunked ? fields : withoutTrailer(fields)
  return { status, reason, fields: kept, framing: clientFraming, bodyFraming: framing }
}

export function unaskedSwitch(): Refusal {
  return new Refusal('E_UPSTREAM_SWITCH', { cause: 'a 101 although no upgrade was asked for' })
}

/** RFC 9110 6.6.2: what it announces can come behind chunks alone. */
function withoutTrailer(fields: readonly string[]): readonly string[] {
  const kept: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const isTrailer = name.length === 7 && name.toLowerCase() === 'trailer'
    if (!isTrailer) kept.push(name, fields[index + 1] as string)
  }
  return kept
}
