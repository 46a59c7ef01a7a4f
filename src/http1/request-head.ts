/**
 * The one reader of HTTP/1 request heads (RFC 9112 2 to 5), for every client and both engines. It is strict: whatever two
 * readers could understand in two ways is wrong, and is known to be wrong as soon as it has come.
 */

import { Refusal } from '../errors.ts'
import type { RequestHead } from '../request/facts.ts'
import { trimBlanks } from '../request/headers.ts'

export interface ReadRequest {
  readonly head: RequestHead
  /** What came behind it, latin1. */
  readonly rest: string
}

const CRLF = '\r\n'
const CRLF_CRLF = '\r\n\r\n'
/** RFC 9112 3: single spaces, a target of visible characters, and a version. Bytes above 0x7f are for the target's reader. */
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP\/1\.(\d)$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** A control character that no head holds, and a CR or an LF without the other; a CR at the very end may still get its LF. */
const WRONG = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|$)|(?<!\r)\n/g
const HTTP2_PREFACE = 'PRI * HTTP/2.0'

export class RequestHeadReader {
  #text = ''
  /** Blank lines in front of the head, which count for its size. */
  #skipped = 0
  /** How much of the text was searched for what is wrong. */
  #searched = 0
  #isLineRead = false

  /** Nothing of a head has come yet, not even a blank line. */
  get isEmpty(): boolean {
    return this.#text === '' && this.#skipped === 0
  }

  /**
   * Takes what has come, a character a byte. Gives the request once its head is whole; the reader is as new then. Refusals:
   * E_REQUEST_MALFORMED, and E_HEAD_TOO_LARGE for a head of more than `bytesMax` bytes, blank lines in front of it included.
   */
  push(text: string, bytesMax: number): ReadRequest | 'more' | Refusal {
    this.#text = this.#text === '' ? text : this.#text + text
    // RFC 9112 2.2: a blank line in front of a request is passed over.
    while (this.#text.startsWith(CRLF)) {
      this.#text = this.#text.slice(CRLF.length)
      this.#skipped += CRLF.length
      this.#searched = 0
    }
    const end = this.#text.indexOf(CRLF_CRLF, Math.max(0, this.#searched - CRLF_CRLF.length))
    const isWhole = end >= 0
    const bytes = this.#skipped + (isWhole ? end + CRLF_CRLF.length : this.#text.length)
    // Of a head that is too large nobody needs to know what is wrong with its end.
    const wrong = isWhole ? undefined : this.#wrongSoFar()
    if (wrong !== undefined) return malformed(wrong)
    if (bytes > bytesMax) {
      return new Refusal('E_HEAD_TOO_LARGE', { cause: `a head of more than ${bytesMax} bytes` })
    }
    if (!isWhole) return 'more'
    const head = parseHead(this.#text.slice(0, end))
    if (typeof head === 'string') return malformed(head)
    const rest = this.#text.slice(end + CRLF_CRLF.length)
    this.#text = ''
    this.#skipped = 0
    this.#searched = 0
    this.#isLineRead = false
    return { head, rest }
  }

  /** What is wrong with a head of which more is to come. */
  #wrongSoFar(): string | undefined {
    WRONG.lastIndex = Math.max(0, this.#searched - 1)
    const found = WRONG.exec(this.#text)
    if (found !== null) return wrongByte(found[0])
    this.#searched = this.#text.length
    if (this.#isLineRead) return undefined
    const lineEnd = this.#text.indexOf(CRLF)
    if (lineEnd < 0) return undefined
    this.#isLineRead = true
    const line = this.#text.slice(0, lineEnd)
    return REQUEST_LINE.test(line) ? undefined : wrongLine(line)
  }
}

function malformed(cause: string): Refusal {
  return new Refusal('E_REQUEST_MALFORMED', { cause })
}

function wrongByte(found: string): string {
  if (found === '\n') return 'a line that ends in LF without CR'
  return found === '\r' ? 'a CR without LF' : 'a control character in the head'
}

/** The line itself may hold a token, so that it is not told. */
function wrongLine(line: string): string {
  if (line === HTTP2_PREFACE) return 'HTTP/2 with prior knowledge'
  return 'no request line of HTTP/1.0 or HTTP/1.1'
}

/** The head without its last two line ends, or what is wrong with it. */
function parseHead(text: string): RequestHead | string {
  const lines = text.split(CRLF)
  const line = lines[0] as string
  const matched = REQUEST_LINE.exec(line)
  if (matched === null) return hasBareEnd(text) ?? wrongLine(line)
  const [, method = '', target = '', minor = ''] = matched
  const fields: string[] = []
  for (let index = 1; index < lines.length; index += 1) {
    const fieldLine = lines[index] as string
    const colon = fieldLine.indexOf(':')
    const name = fieldLine.slice(0, Math.max(colon, 0))
    const value = trimBlanks(fieldLine, colon + 1, fieldLine.length)
    if (!NAME.test(name) || !VALUE.test(value)) {
      return hasBareEnd(fieldLine) ?? `field line ${index} is not valid`
    }
    fields.push(name, value)
  }
  // RFC 9112 2.3: a minor version that is not known is answered as the highest one that is.
  return { method, target, httpVersion: minor === '0' ? '1.0' : '1.1', fields }
}

function hasBareEnd(text: string): string | undefined {
  WRONG.lastIndex = 0
  const found = WRONG.exec(text)
  return found === null ? undefined : wrongByte(found[0])
}
