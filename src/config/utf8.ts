/** Finds what is not UTF-8 in a file that has to be. */

import { isUtf8 } from 'node:buffer'

export interface BadByte {
  /** From 1. */
  readonly line: number
  /** In UTF-16 code units as in strings, from 1. */
  readonly column: number
  /** The line, with U+FFFD for what cannot be read. */
  readonly source: string
}

const LINE_FEED = 0x0a

/** Where the first byte is that is part of no character; undefined when all of it is UTF-8. */
export function badByteIn(content: Buffer): BadByte | undefined {
  if (isUtf8(content)) return undefined
  let start = 0
  for (let line = 1; ; line += 1) {
    const feed = content.indexOf(LINE_FEED, start)
    const bytes = content.subarray(start, feed === -1 ? undefined : feed)
    if (!isUtf8(bytes)) return { line, column: columnIn(bytes), source: bytes.toString() }
    start = feed + 1
  }
}

function columnIn(bytes: Buffer): number {
  let column = 1
  let at = 0
  for (;;) {
    const length = charBytes(bytes[at] ?? 0)
    if (!isUtf8(bytes.subarray(at, at + length))) return column
    at += length
    column += length === 4 ? 2 : 1
  }
}

/** By the first byte of a character (RFC 3629 3). */
function charBytes(first: number): number {
  if (first < 0x80) return 1
  if (first < 0xe0) return 2
  return first < 0xf0 ? 3 : 4
}
