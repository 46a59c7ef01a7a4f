/**
 * Parses the head of an upstream's response, as widely as other proxies do and no wider, and writes it anew. The reason and the order,
 * case and number of fields stay as they came.
 */

import type { Fields } from '../errors.ts'
import { fieldValues, trimBlanks } from '../request/headers.ts'
import { contentLength } from './framing.ts'
import { serializeFields } from './response-writer.ts'

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

/** RFC 9112 2.3: any minor version above 0 is understood as 1.1. */
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-9]\d\d)(?: ([^\0-\x08\x0a-\x1f\x7f]*))?$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FORBIDDEN_IN_VALUE = /[\0-\x08\x0a-\x1f\x7f]/
const BLANK = /^[ \t]/
const NO_STATUS_LINE = { wrong: 'no HTTP/1 status line' }

/**
 * RFC 9112 2.2, 4 and 5. Lines end in CRLF, or all of them in LF alone: a mix is what an injected line looks like. Folded lines are
 * joined by a blank, a blank before a colon goes, and equal Content-Lengths count once; control characters are wrong. A head of more
 * than `bytesMax` bytes is wrong as well. `text` is latin1, a character a byte; up to `searched` it was looked at before,
 * without success.
 */
export function parseResponseHead(text: string, bytesMax: number, searched = 0): ParsedHead {
  const lineEnd = /^[^\n]*[^\r\n]\n/.test(text) ? '\n' : '\r\n'
  const from = Math.max(0, searched - lineEnd.length * 2)
  const end = text.indexOf(lineEnd + lineEnd, from)
  const known = end === -1 ? text : text.slice(0, end)
  if (known.length > bytesMax) return { wrong: `a head of more than ${bytesMax} bytes` }
  if (isMixed(known, lineEnd, from)) return { wrong: 'lines that end in CRLF and others in LF' }
  if (end === -1) return 'HTTP/1.'.startsWith(text.slice(0, 7)) ? undefined : NO_STATUS_LINE
  const [statusLine = '', ...lines] = known.split(lineEnd)
  const status = STATUS_LINE.exec(statusLine)
  if (status === null) return NO_STATUS_LINE
  const plain = plainLines(lines)
  const fields = typeof plain === 'string' ? plain : parseFieldLines(plain)
  if (typeof fields === 'string') return { wrong: fields }
  const head: ResponseHead = {
    minorVersion: status[1] === '0' ? 0 : 1,
    status: Number(status[2]),
    reason: status[3] ?? '',
    fields: withOneLength(fields),
  }
  return { head, bytes: end + lineEnd.length * 2 }
}

function isMixed(text: string, lineEnd: string, from: number): boolean {
  if (lineEnd === '\n') return text.includes('\r', from)
  for (let at = text.indexOf('\n', from); at !== -1; at = text.indexOf('\n', at + 1)) {
    if (text[at - 1] !== '\r') return true
  }
  return false
}

/** RFC 9112 5.1 and 5.2: without blanks before colons, and with folded lines joined; or what is wrong. */
function plainLines(lines: readonly string[]): readonly string[] | string {
  const plain: string[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (!BLANK.test(line)) {
      const isWide = colon > 0 && BLANK.test(line[colon - 1] as string)
      plain.push(isWide ? trimBlanks(line, 0, colon) + line.slice(colon) : line)
      continue
    }
    const folded = plain.pop()
    // Together the two lines could make a name and a colon that neither of them has.
    if (folded?.includes(':') !== true) return 'a folded line without a field'
    plain.push(`${trimBlanks(folded, 0, folded.length)} ${trimBlanks(line, 0, line.length)}`)
  }
  return plain
}

/** RFC 9110 8.6: lengths that agree are one. Those that do not stay, for the framing to be found ambiguous. */
function withOneLength(fields: string[]): string[] {
  const [first, ...more] = fieldValues(fields, 'content-length')
  if (first === undefined || (more.length === 0 && !first.includes(','))) return fields
  const length = contentLength(fields)
  if (Number.isNaN(length)) return fields
  const framed: string[] = []
  let isLeft = true
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (name.toLowerCase() !== 'content-length') framed.push(name, fields[index + 1] as string)
    else if (isLeft) {
      isLeft = false
      framed.push(name, String(length))
    }
  }
  return framed
}

/** The head as bytes to be written in latin1. */
export function responseHeadText({ minorVersion, status, reason, fields }: ResponseHead): string {
  return `HTTP/1.${minorVersion} ${status} ${reason}\r\n${serializeFields(fields)}\r\n`
}

/** Whether names and values are such that each pair is one line. */
export function areFields(fields: Fields): boolean {
  return fields.every((part, index) =>
    index % 2 === 0 ? NAME.test(part) : !FORBIDDEN_IN_VALUE.test(part),
  )
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
