/** Where a message body ends (RFC 9112 6), and a scanner that follows it through the raw bytes without changing them. */

import type { Fields } from '../errors.ts'
import { fieldValues, trimBlanks } from '../request/headers.ts'

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' }

const NONE: Framing = { kind: 'none' }
const LENGTH = /^\d{1,15}$/

/** The framing of a request whose fields have been checked: chunked, or one Content-Length, or no body. */
export function requestFraming(fields: Fields): Framing {
  if (fieldValues(fields, 'transfer-encoding').length > 0) return { kind: 'chunked' }
  const length = Number(fieldValues(fields, 'content-length')[0] ?? 0)
  return length === 0 ? NONE : { kind: 'length', bytes: length }
}

/**
 * The length that all Content-Length fields agree on, as lists and lines (RFC 9110 8.6); undefined without one, NaN where they
 * disagree or one is no number.
 */
export function contentLength(fields: Fields): number | undefined {
  let length: string | undefined
  for (const value of fieldValues(fields, 'content-length')) {
    for (const part of value.split(',')) {
      const item = trimBlanks(part, 0, part.length)
      if (!LENGTH.test(item) || (length !== undefined && item !== length)) return NaN
      length = item
    }
  }
  return length === undefined ? undefined : Number(length)
}

/**
 * The framing of an answer to `method`, or `undefined` where two framings contradict each other (RFC 9112 6.3: such an
 * answer may be an attempt at smuggling, and is not passed on) or a transfer coding is unknown.
 */
export function responseFraming(
  method: string,
  status: number,
  fields: Fields,
): Framing | undefined {
  const codings = fieldValues(fields, 'transfer-encoding')
  const length = contentLength(fields)
  if (Number.isNaN(length)) return undefined
  if (codings.length > 0) {
    if (length !== undefined || codings.length > 1) return undefined
    if (codings[0]?.toLowerCase() !== 'chunked') return undefined
  }
  if (method === 'HEAD' || status === 204 || status === 304) return NONE
  if (codings.length > 0) return { kind: 'chunked' }
  if (length === undefined) return { kind: 'close' }
  return length === 0 ? NONE : { kind: 'length', bytes: length }
}

/** How far a body reaches into a chunk of bytes. */
interface Scanned {
  /** Bytes at the start of the chunk that belong to the body and its framing. */
  readonly bytes: number
  /** The body's last byte was among them. */
  readonly done: boolean
}

export interface BodyScanner {
  readonly done: boolean
  /** The lines behind the last chunk, each with its CRLF, as latin1. */
  readonly trailers: string
  /** `undefined`: the framing is broken. `onData` gets the content alone, without chunk sizes and trailers. */
  scan(chunk: Buffer, onData?: (content: Buffer) => void): Scanned | undefined
}

export function bodyScanner(framing: Framing): BodyScanner {
  switch (framing.kind) {
    case 'none':
      return new LengthScanner(0)
    case 'length':
      return new LengthScanner(framing.bytes)
    case 'close':
      return new LengthScanner(Infinity)
    case 'chunked':
      return new ChunkedScanner()
  }
}

class LengthScanner implements BodyScanner {
  readonly trailers = ''
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  get done(): boolean {
    return this.#left === 0
  }

  scan(chunk: Buffer, onData?: (content: Buffer) => void): Scanned {
    const bytes = Math.min(this.#left, chunk.length)
    this.#left -= bytes
    if (bytes > 0) onData?.(chunk.subarray(0, bytes))
    return { bytes, done: this.done }
  }
}

/** A chunk's size line with its extensions, and all trailers together, may be this long. */
const LINE_BYTES_MAX = 4096
const TRAILER_BYTES_MAX = 16_384
/** 2^44 - 1: far above any chunk, far below what a number holds exactly. */
const SIZE_DIGITS_MAX = 11

const CR = 0x0d
const LF = 0x0a
const SEMICOLON = 0x3b

type ChunkState =
  | 'size'
  | 'extension'
  | 'sizeLf'
  | 'data'
  | 'dataCr'
  | 'dataLf'
  | 'lineStart'
  | 'trailer'
  | 'trailerLf'
  | 'endLf'
  | 'done'

/**
 * RFC 9112 7.1.
 *
 *     size [;extension] CR LF -> data CR LF -> size ...
 *     0    [;extension] CR LF -> (trailer line CR LF)* CR LF -> done
 *
 * Bare CR and bare LF are wrong everywhere: proxies that disagree on them can be played off against each other.
 */
class ChunkedScanner implements BodyScanner {
  trailers = ''
  #state: ChunkState = 'size'
  #size = 0
  #digits = 0
  #lineBytes = 0

  get done(): boolean {
    return this.#state === 'done'
  }

  scan(chunk: Buffer, onData?: (content: Buffer) => void): Scanned | undefined {
    let at = 0
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const bytes = Math.min(this.#size, chunk.length - at)
        onData?.(chunk.subarray(at, at + bytes))
        this.#size -= bytes
        at += bytes
        if (this.#size === 0) this.#state = 'dataCr'
      } else {
        if (!this.#step(chunk[at] as number)) return undefined
        at += 1
      }
    }
    return { bytes: at, done: this.done }
  }

  /** One byte of framing; false when it is wrong. */
  #step(byte: number): boolean {
    switch (this.#state) {
      case 'size':
        return this.#sizeByte(byte)
      case 'extension':
        return this.#lineByte(byte, 'sizeLf')
      case 'sizeLf':
        return this.#expect(byte, LF, this.#size === 0 ? 'lineStart' : 'data')
      case 'dataCr':
        return this.#expect(byte, CR, 'dataLf')
      case 'dataLf':
        this.#digits = 0
        this.#lineBytes = 0
        return this.#expect(byte, LF, 'size')
      case 'lineStart':
        if (byte === CR) return this.#expect(byte, CR, 'endLf')
        this.#state = 'trailer'
        return this.#trailerByte(byte)
      case 'trailer':
        return this.#trailerByte(byte)
      case 'trailerLf':
        this.trailers += '\n'
        return this.#expect(byte, LF, 'lineStart')
      case 'endLf':
        return this.#expect(byte, LF, 'done')
      case 'data':
      case 'done':
        return false
    }
  }

  #sizeByte(byte: number): boolean {
    const digit = hexDigit(byte)
    if (digit !== -1) {
      this.#size = this.#digits === 0 ? digit : this.#size * 16 + digit
      this.#digits += 1
      return this.#digits <= SIZE_DIGITS_MAX
    }
    if (this.#digits === 0) return false
    if (byte === SEMICOLON) {
      this.#state = 'extension'
      return true
    }
    return this.#expect(byte, CR, 'sizeLf')
  }

  #lineByte(byte: number, next: ChunkState): boolean {
    this.#lineBytes += 1
    if (byte === CR) {
      this.#state = next
      return true
    }
    return byte !== LF && byte !== 0 && this.#lineBytes <= LINE_BYTES_MAX
  }

  #trailerByte(byte: number): boolean {
    this.trailers += String.fromCharCode(byte)
    if (byte === CR) {
      this.#state = 'trailerLf'
      return true
    }
    return byte !== LF && byte !== 0 && this.trailers.length <= TRAILER_BYTES_MAX
  }

  #expect(byte: number, expected: number, next: ChunkState): boolean {
    if (byte !== expected) return false
    this.#state = next
    return true
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
