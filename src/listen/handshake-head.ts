/**
 * Reads the head of an ordinary handshake: `GET`, HTTP/1.1, an Upgrade, no body, and nothing in it that two readers could
 * understand in two ways. It takes a strict part of what node's parser takes and reads it in the same way; every other
 * head is for that parser.
 */

import type { RequestHead } from '../request/facts.ts'
import { trimBlanks } from '../request/headers.ts'

export interface HandshakeHead {
  readonly head: RequestHead
  /** What came behind it. */
  readonly rest: string
}

const CRLF_CRLF = '\r\n\r\n'
const REQUEST_LINE = /^GET (\/[\w\-.~!$&'()*+,;=:@/?%]*) HTTP\/1\.1$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const FRAMING = /^(?:content-length|transfer-encoding|expect|trailer|te)$/i
const METHOD = 'GET '

/**
 * The head at the start of `text` (latin1, a character a byte); 'more' while it may become one; `undefined` when it is for
 * node's parser, as is one of more than `bytesMax` bytes.
 */
export function readHandshakeHead(
  text: string,
  bytesMax: number,
): HandshakeHead | 'more' | undefined {
  const end = text.indexOf(CRLF_CRLF)
  if (end === -1) {
    const mayBecomeOne = METHOD.startsWith(text.slice(0, METHOD.length)) && text.length < bytesMax
    return mayBecomeOne ? 'more' : undefined
  }
  if (end + CRLF_CRLF.length > bytesMax) return undefined
  const lines = text.slice(0, end).split('\r\n')
  const target = REQUEST_LINE.exec(lines[0] as string)?.[1]
  if (target === undefined) return undefined
  const fields = readFields(lines)
  if (fields === undefined) return undefined
  return {
    head: { method: 'GET', target, httpVersion: '1.1', fields },
    rest: text.slice(end + CRLF_CRLF.length),
  }
}

/** Names and values as sent; `undefined` without an Upgrade, with a body or when a line is unusual. */
function readFields(lines: readonly string[]): string[] | undefined {
  const fields: string[] = []
  let asksForUpgrade = false
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index] as string
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    const value = trimBlanks(line, colon + 1, line.length)
    if (!NAME.test(name) || !VALUE.test(value) || FRAMING.test(name)) return undefined
    asksForUpgrade ||= name.length === 7 && name.toLowerCase() === 'upgrade'
    fields.push(name, value)
  }
  return asksForUpgrade ? fields : undefined
}
