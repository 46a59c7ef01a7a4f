/** What every final response is checked for, whoever gave it: an endpoint, to a plain request or a handshake, or an auth server. */

import { fieldValue } from '../request/headers.ts'
import { responseFraming, type Framing } from './framing.ts'
import { areFields, type ResponseHead } from './response-head.ts'

const UNWRITABLE = /[^\t\x20-\x7e\x80-\xff]/

/**
 * The framing of a response to `method`, other than 1xx; or what is wrong with it: a broken status line or field, lengths
 * that contradict each other, transfer codings other than `chunked`, or any under HTTP/1.0 (RFC 9112 6.1 and 6.3).
 */
export function checkResponse(
  method: string,
  { minorVersion, status, reason, fields }: ResponseHead,
): Framing | { readonly wrong: string } {
  if (!(status >= 200 && status <= 999) || UNWRITABLE.test(reason)) {
    return { wrong: 'the status line of the answer is broken' }
  }
  if (!areFields(fields)) return { wrong: 'a field of the answer is broken' }
  const framing = responseFraming(method, status, fields)
  // RFC 9112 6.1: HTTP/1.0 has no transfer codings, so one under it is a framing that somebody else understands differently.
  const isCodedOld = minorVersion === 0 && fieldValue(fields, 'transfer-encoding') !== undefined
  return framing === undefined || isCodedOld
    ? { wrong: 'the framing of the answer is ambiguous' }
    : framing
}
