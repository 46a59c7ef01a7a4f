/**
 * From the fields of an HTTP/2 answer to the head of the same answer in HTTP/1.1 (RFC 9113 8, RFC 8441 5), strictly: what
 * reads it knows nothing of HTTP/2.
 */

import { STATUS_CODES } from 'node:http'
import type { Fields } from '../errors.ts'
import type { Framing } from '../http1/framing.ts'
import { informationFields } from '../http1/response-reader.ts'
import { websocketAccept } from '../handshake/switch.ts'
import { connectionSpecific, isField } from './fields.ts'
import type { StreamHead } from './request-reader.ts'

/** What of the request an answer is understood by. */
type Asked = Pick<StreamHead, 'method' | 'connects' | 'websocketKey'>

interface Answer {
  /** Latin1, up to the empty line. */
  readonly head: string
  /** How the body is to be written behind it. */
  readonly body: Framing
}

export type ReadAnswer = Answer | { readonly wrong: string }

const LENGTH = /^\d{1,15}$/

/** The final answer. `ended`: there is no body. A 2xx to an extended CONNECT is the 101 of HTTP/1.1. */
export function finalHead(fields: Fields, asked: Asked, ended: boolean): ReadAnswer {
  const read = readFields(fields)
  if ('wrong' in read) return read
  const { status, regular } = read
  if (status < 200) return { wrong: `a final answer of ${status}` }
  if (asked.connects && status < 300) {
    return ended ? { wrong: 'a yes to a WebSocket that is over' } : switchingHead(asked, regular)
  }
  const body = bodyOf(regular, { status, ended, method: asked.method })
  if (body === undefined) return { wrong: 'an answer of another length than it says' }
  const framing = framingLines(body, regular)
  return { head: textOf(status, [...regular, ...framing]), body }
}

/** An informational one (1xx). There is no 101 in HTTP/2 (RFC 9113 8.6). */
export function informationalHead(fields: Fields): ReadAnswer {
  const read = readFields(fields)
  if ('wrong' in read) return read
  const { status, regular } = read
  if (status >= 200 || status === 101) return { wrong: `an informational answer of ${status}` }
  return { head: textOf(status, informationFields(regular)), body: { kind: 'none' } }
}

function readFields(
  fields: Fields,
): { readonly status: number; readonly regular: string[] } | { readonly wrong: string } {
  let status: string | undefined
  const regular: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const value = fields[index + 1] as string
    if (name === ':status' && status === undefined && regular.length === 0) status = value
    else if (!isField(name, value) || connectionSpecific.has(name)) {
      return { wrong: `a field that cannot be in an answer: ${JSON.stringify(name.slice(0, 64))}` }
    } else regular.push(name, value)
  }
  if (status === undefined || !/^[1-9]\d\d$/.test(status)) return { wrong: 'no status' }
  return { status: Number(status), regular }
}

function switchingHead({ websocketKey }: Asked, regular: Fields): Answer {
  const fields = ['Connection', 'Upgrade', 'Upgrade', 'websocket']
  if (websocketKey !== undefined) {
    // There is nothing to prove over HTTP/2: no server answers a :protocol that it has not read.
    fields.push('Sec-WebSocket-Accept', websocketAccept(websocketKey))
  }
  const kept = without(regular, 'sec-websocket-accept')
  return { head: textOf(101, [...fields, ...kept]), body: { kind: 'close' } }
}

/** RFC 9113 8.1.1: a length that is not that of the body is malformed. */
function bodyOf(
  fields: Fields,
  {
    status,
    ended,
    method,
  }: { readonly status: number; readonly ended: boolean; readonly method: string },
): Framing | undefined {
  const lengths = new Set(
    fields.filter((_, index) => fields[index - 1] === 'content-length' && index % 2 === 1),
  )
  const [length] = lengths
  if (lengths.size > 1 || (length !== undefined && !LENGTH.test(length))) return undefined
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' }
  const bytes = Number(length ?? 0)
  if (ended) return bytes > 0 ? undefined : { kind: 'length', bytes: 0 }
  return length === undefined ? { kind: 'chunked' } : { kind: 'length', bytes }
}

/** What HTTP/1.1 needs to say of the body that HTTP/2 need not. */
function framingLines(body: Framing, fields: Fields): Fields {
  if (body.kind === 'chunked') return ['Transfer-Encoding', 'chunked']
  const isSaid = fields.some((name, index) => index % 2 === 0 && name === 'content-length')
  return body.kind === 'length' && !isSaid ? ['Content-Length', String(body.bytes)] : []
}

function without(fields: Fields, leftOut: string): string[] {
  return fields.filter((_, index) => fields[index - (index % 2)] !== leftOut)
}

function textOf(status: number, fields: Fields): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let index = 0; index < fields.length; index += 2) {
    text += `${fields[index]}: ${fields[index + 1]}\r\n`
  }
  return `${text}\r\n`
}
