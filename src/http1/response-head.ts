/** Parses the head of an upstream's answer, strictly, and keeps what it says byte for byte: reason, order, case, number. */

import type { Fields } from '../errors.ts'
import { trimBlanks } from '../request/headers.ts'

export interface ResponseHead {
  readonly minorVersion: 0 | 1
  readonly status: number
  readonly reason: string
  readonly fields: Fields
}

/** A parsed head and where it ends; what is wrong with it; or `undefined` while bytes are missing. */
export type ParsedHead =
  | { readonly head: ResponseHead; readonly bytes: number }
  | { readonly wrong: string }
  | undefined

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([^\0-\x08\x0a-\x1f\x7f]*))?$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FORBIDDEN_IN_VALUE = /[\0-\x08\x0a-\x1f\x7f]/
const CRLF_CRLF = '\r\n\r\n'

/**
 * RFC 9112 4 and 5. Lines end in CRLF; folded lines, spaces before a colon and control characters are wrong.
 * A head of more than `bytesMax` bytes is wrong as well. `text` is latin1, a character a byte.
 */
export function parseResponseHead(text: string, bytesMax: number): ParsedHead {
  const end = text.indexOf(CRLF_CRLF)
  if (end === -1) {
    if (text.length > bytesMax) return { wrong: `a head of more than ${bytesMax} bytes` }
    return 'HTTP/1.'.startsWith(text.slice(0, 7)) ? undefined : { wrong: 'no HTTP/1 status line' }
  }
  if (end > bytesMax) return { wrong: `a head of more than ${bytesMax} bytes` }
  const lines = text.slice(0, end).split('\r\n')
  const status = STATUS_LINE.exec(lines[0] ?? '')
  if (status === null) return { wrong: 'no HTTP/1 status line' }
  const fields = parseFieldLines(lines.slice(1))
  if (typeof fields === 'string') return { wrong: fields }
  const head: ResponseHead = {
    minorVersion: status[1] === '0' ? 0 : 1,
    status: Number(status[2]),
    reason: status[3] ?? '',
    fields,
  }
  return { head, bytes: end + CRLF_CRLF.length }
}

/** RFC 9112 5: names and values, or what is wrong with the first line that is wrong. */
export function parseFieldLines(lines: readonly string[]): string[] | string {
  const fields: string[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] as string
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    if (!NAME.test(name)) return `field line ${index + 1} has no valid name`
    const value = trimBlanks(line, colon + 1, line.length)
    if (FORBIDDEN_IN_VALUE.test(value)) return `field ${name} holds a control character`
    fields.push(name, value)
  }
  return fields
}
