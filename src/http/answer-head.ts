/** From an upstream's answer head to the one that the client gets: checked, with the framing that this client understands. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FieldEdits } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import { checkResponse } from '../http1/response-check.ts'
import { fieldValue } from '../request/headers.ts'
import { incomingFields } from '../outgoing/outgoing.ts'
import { withFraming, writableFields } from './field-list.ts'

/**
 * Where the client sees the end of the body: `none` has no body, `close` ends with the connection. That is for HTTP/1.0,
 * which has no chunked coding.
 */
type ClientFraming = 'none' | 'length' | 'chunked' | 'close'

export interface AnswerHead {
  readonly status: number
  readonly reason: string
  /** With exactly the framing fields that `framing` says; without Connection. */
  readonly fields: Fields
  readonly framing: ClientFraming
}

/** Refusals: E_UPSTREAM_SWITCH for a 101, and E_UPSTREAM_PROTOCOL for what `checkResponse` finds wrong. */
export function answerHead(
  method: string,
  clientVersion: '1.0' | '1.1',
  answer: IncomingMessage,
  edits: FieldEdits,
): AnswerHead | Refusal {
  const { statusCode: status = 0, statusMessage: reason = '', rawHeaders } = answer
  if (status === 101) return unaskedSwitch()
  const minorVersion = answer.httpVersion === '1.0' ? 0 : 1
  const framing = checkResponse(method, { minorVersion, status, reason, fields: rawHeaders })
  if ('wrong' in framing) return new Refusal('E_UPSTREAM_PROTOCOL', { cause: framing.wrong })
  const edited = incomingFields(rawHeaders, edits, status)
  const length = fieldValue(edited, 'content-length')
  if (method === 'HEAD' || status === 204 || status === 304) {
    // RFC 9110 8.6: a 204 has no Content-Length; the others have that of the body they leave out.
    const fields = withFraming(edited, undefined, status === 204 ? undefined : length)
    return { status, reason, fields: writableFields(fields, false), framing: 'none' }
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
  return { status, reason, fields: writableFields(fields, isChunked), framing: clientFraming }
}

export function unaskedSwitch(): Refusal {
  return new Refusal('E_UPSTREAM_SWITCH', { cause: 'a 101 although no upgrade was asked for' })
}

/**
 * Writes the head to the client as it is: nothing of node's own (Date, Connection, Keep-Alive) is added but the
 * `Connection` that the client needs to know of. Throws node's error for fields that cannot be written.
 */
export function writeAnswerHead(res: ServerResponse, head: AnswerHead): void {
  // What node has noted when the client half-closed is lost with the removal of Connection.
  if (head.framing === 'close' || res.req.socket.readableEnded) res.shouldKeepAlive = false
  res.sendDate = false
  // Not to be added by node where it is missing.
  res.removeHeader('connection')
  res.removeHeader('transfer-encoding')
  res.writeHead(head.status, head.reason, [...head.fields, ...connectionField(res)])
}

/** RFC 9112 9.3: HTTP/1.1 persists unless it says `close`, HTTP/1.0 closes unless it says `keep-alive`. */
function connectionField({ shouldKeepAlive, req }: ServerResponse): Fields {
  if (!shouldKeepAlive) return ['Connection', 'close']
  return req.httpVersionMinor === 0 ? ['Connection', 'keep-alive'] : []
}
