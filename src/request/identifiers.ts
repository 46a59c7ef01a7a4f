/** Names of one request: X-Request-Id and the W3C trace context. */

import { randomUUID } from 'node:crypto'
import type { Fields } from '../errors.ts'
import { fieldValues } from './headers.ts'

const REQUEST_ID = /^[A-Za-z0-9._~:+/=@-]{1,128}$/
/** Trace Context 3.2: version 00 ends after the flags, a later one may go on; ff and zero identifiers are invalid. */
const TRACEPARENT =
  /^(?!ff)(?:00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|(?!00)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{1,128})?)$/
const ZERO_IDS = /^..-(?:0{32}-|.{32}-0{16}-)/

/** The one that a trusted proxy sent, or a new one. */
export function requestIdOf(fields: Fields, peerTrusted: boolean): string {
  const received = peerTrusted ? onlyValue(fields, 'x-request-id') : undefined
  return received !== undefined && REQUEST_ID.test(received) ? received : randomUUID()
}

/** The one that a trusted proxy sent, or a new one that asks to be sampled, as a trace does that begins here. */
export function traceparentOf(fields: Fields, peerTrusted: boolean): string {
  const received = peerTrusted ? onlyValue(fields, 'traceparent') : undefined
  if (received !== undefined && TRACEPARENT.test(received) && !ZERO_IDS.test(received)) {
    return received
  }
  const trace = randomUUID()
  const span = randomUUID()
  const traceId =
    trace.slice(0, 8) +
    trace.slice(9, 13) +
    trace.slice(14, 18) +
    trace.slice(19, 23) +
    trace.slice(24)
  return `00-${traceId}-${span.slice(0, 8)}${span.slice(24, 32)}-01`
}

/** The value of a field that may be there once. */
export function onlyValue(fields: Fields, lowerName: string): string | undefined {
  const values = fieldValues(fields, lowerName)
  return values.length === 1 ? values[0] : undefined
}
