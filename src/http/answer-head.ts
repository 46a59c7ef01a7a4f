/** From an upstream's answer head to the one that the client gets: checked, with the framing that this client understands. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FieldEdits } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import { responseFraming } from '../handshake/framing.ts'
import { incomingFields } from '../request/outgoing.ts'
import { writableFields } from './field-list.ts'

/** Where the client sees the end of the body: `none` has no body, `close` ends with the connection. */
export type ClientFraming = 'none' | 'length' | 'chunked' | 'close'

export interface AnswerHead {
  readonly status: number
  readonly reason: string
  /** With exactly the framing fields that `framing` says; without Connection. */
  readonly fields: Fields
  readonly framing: ClientFraming
}

/**
 * Refusals: E_UPSTREAM_SWITCH for a 101, and E_UPSTREAM_PROTOCOL for a broken status line, for lengths that contradict each other, transfer
 * codings other than `chunked`, or any under HTTP/1.0 (RFC 9112 6.1 and 6.3).
 */
export function answerHead(
  method: string,
  clientVersion: '1.0' | '1.1',
  answer: IncomingMessage,
  edits: FieldEdits,
): AnswerHead | Refusal {
  const { statusCode: status = 0, statusMessage: reason = '', rawHeaders } = answer
  if (status === 101) return unaskedSwitch()
  if (status < 100 || /[^\t\x20-\x7e\x80-\xff]/.test(reason)) {
    return new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'the status line of the answer is broken' })
  }
  const framing = responseFraming(method, status, rawHeaders)
  if (framing === undefined || (answer.httpVersion === '1.0' && hasField(rawHeaders, TE))) {
    return new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'the framing of the answer is ambiguous' })
  }
  const edited = incomingFields(rawHeaders, edits)
  const isBodyless = method === 'HEAD' || status === 204 || status === 304
  const clientFraming = isBodyless ? 'none' : bodyFraming(framing.kind, edited, clientVersion)
  // RFC 9110 8.6: a 204 has no Content-Length.
  const isLengthKept = clientFraming === 'length' || (isBodyless && status !== 204)
  const fields = framedFields(edited, clientFraming === 'chunked', isLengthKept)
  return {
    status,
    reason,
    fields: writableFields(fields, clientFraming === 'chunked'),
    framing: clientFraming,
  }
}

export function unaskedSwitch(): Refusal {
  return new Refusal('E_UPSTREAM_SWITCH', { cause: 'a 101 although no upgrade was asked for' })
}

const TE = 'transfer-encoding'
const LENGTH = 'content-length'

/** HTTP/1.0 has no chunked coding: what has no length ends with the connection there. */
function bodyFraming(
  upstream: 'none' | 'length' | 'chunked' | 'close',
  fields: Fields,
  clientVersion: '1.0' | '1.1',
): ClientFraming {
  const hasLength = upstream === 'none' || upstream === 'length'
  if (hasLength && hasField(fields, LENGTH)) return 'length'
  return clientVersion === '1.1' ? 'chunked' : 'close'
}

/** Puts the framing right where the upstream's own does not fit; otherwise everything stays in its place. */
function framedFields(fields: Fields, isChunked: boolean, isLengthKept: boolean): Fields {
  const framed: string[] = []
  let needsChunked = isChunked
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const lower = name.toLowerCase()
    if (lower === TE) {
      if (!needsChunked) continue
      needsChunked = false
    } else if (lower === LENGTH && !isLengthKept) continue
    framed.push(name, fields[index + 1] as string)
  }
  if (needsChunked) framed.push('Transfer-Encoding', 'chunked')
  return framed
}

function hasField(fields: Fields, lowerName: string): boolean {
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (name.length === lowerName.length && name.toLowerCase() === lowerName) return true
  }
  return false
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
