/** Fields behind a chunked body (RFC 9112 7.1.2). */

import type { Fields } from '../errors.ts'
import { parseFieldLines } from './response-head.ts'

/** Of lines that each end in CRLF; or what is wrong with the first one that is wrong. */
export function trailerFields(lines: string): Fields | string {
  return lines === '' ? [] : parseFieldLines(lines.split('\r\n').slice(0, -1))
}
