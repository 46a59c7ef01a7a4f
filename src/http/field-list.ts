/** Puts fields into a shape that node's HTTP client and server write out unchanged. */

import type { Fields } from '../errors.ts'

/**
 * Fields for `http.request` or `writeHead`. Two kinds would not survive: node throws for a Trailer without chunked
 * coding, and it takes the bytes of a Content-Disposition behind a Content-Length for UTF-8 and writes them as latin1,
 * so one with bytes above 0x7f is put before it.
 */
export function writableFields(fields: Fields, isChunked: boolean): Fields {
  let lengthAt = -1
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (name.length === 14 && name.toLowerCase() === 'content-length') lengthAt = index
    else if (!isChunked && name.length === 7 && name.toLowerCase() === 'trailer') {
      return writableFields(withoutPair(fields, index), isChunked)
    } else if (lengthAt >= 0 && isMangledDisposition(name, fields[index + 1] as string)) {
      const pair = fields.slice(index, index + 2)
      return writableFields(withoutPair(fields, index).toSpliced(lengthAt, 0, ...pair), isChunked)
    }
  }
  return fields
}

/**
 * The fields with exactly this Transfer-Encoding and this Content-Length (undefined for none), once each. They stay
 * where the list has them, and are put at its end where it does not.
 */
export function withFraming(
  fields: Fields,
  coding: string | undefined,
  length: string | undefined,
): string[] {
  const framed: string[] = []
  let codingLeft = coding
  let lengthLeft = length
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const lower = name.length === 17 || name.length === 14 ? name.toLowerCase() : ''
    if (lower === 'transfer-encoding') {
      if (codingLeft !== undefined) framed.push(name, codingLeft)
      codingLeft = undefined
    } else if (lower === 'content-length') {
      if (lengthLeft !== undefined) framed.push(name, lengthLeft)
      lengthLeft = undefined
    } else {
      framed.push(name, fields[index + 1] as string)
    }
  }
  if (codingLeft !== undefined) framed.push('Transfer-Encoding', codingLeft)
  if (lengthLeft !== undefined) framed.push('Content-Length', lengthLeft)
  return framed
}

function isMangledDisposition(name: string, value: string): boolean {
  if (name.length !== 19 || name.toLowerCase() !== 'content-disposition') return false
  return /[\x80-\xff]/.test(value)
}

function withoutPair(fields: Fields, index: number): string[] {
  return fields.toSpliced(index, 2)
}

/** Fields as node's `addTrailers` takes them. */
export function pairsOf(fields: Fields): [name: string, value: string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index < fields.length; index += 2) {
    pairs.push([fields[index] as string, fields[index + 1] as string])
  }
  return pairs
}
