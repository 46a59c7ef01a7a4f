/** The body of a stream on its way to a reader of HTTP/1.1: framed as the head in front of it says, and as long as it says (RFC 9113 8.1.1). */

import type { Readable } from 'node:stream'
import type { Fields } from '../errors.ts'
import type { Framing } from '../http1/framing.ts'
import { serializeFields } from '../http1/response-writer.ts'
import { passedTrailers } from '../outgoing/trailers.ts'
import { isField } from './fields.ts'

const CRLF = Buffer.from('\r\n')

/** A chunk of so few bytes is one buffer with its framing: three would take far more. */
const SMALL_BYTES = 512

/** What is wrong with it, for the log; undefined where nothing is. */
type Wrong = string | undefined

export class IncomingBody {
  readonly #framing: Framing
  #bytes = 0
  readonly #trailers: string[] = []

  /** `close` for bytes without an end of their own. */
  constructor(framing: Framing) {
    this.#framing = framing
  }

  /** A part of it goes to `reader`. `onFull` is called when that has enough for the moment. */
  data(chunk: Buffer, reader: Readable, onFull: () => void): Wrong {
    if (chunk.length === 0) return undefined
    const framing = this.#framing
    this.#bytes += chunk.length
    const isTooLong = framing.kind === 'length' && this.#bytes > framing.bytes
    if (isTooLong || framing.kind === 'none') return 'more of a body than it says'
    let last = chunk
    if (framing.kind === 'chunked') {
      const size = Buffer.from(`${chunk.length.toString(16)}\r\n`)
      if (chunk.length < SMALL_BYTES) last = Buffer.concat([size, chunk, CRLF])
      else {
        reader.push(size)
        reader.push(chunk)
        last = CRLF
      }
    }
    if (!reader.push(last)) onFull()
    return undefined
  }

  trailers(fields: Fields): Wrong {
    for (let index = 0; index < fields.length; index += 2) {
      const [name, value] = fields.slice(index, index + 2) as [string, string]
      if (!isField(name, value)) return 'a trailer that cannot be one'
      this.#trailers.push(name, value)
    }
    return undefined
  }

  /** Nothing more comes: the reader hears of its end. */
  end(reader: Readable): Wrong {
    const framing = this.#framing
    if (framing.kind === 'length' && this.#bytes < framing.bytes) {
      return 'less of a body than it says'
    }
    if (framing.kind === 'chunked') {
      // One of the framing would break off the parsing of the whole response.
      reader.push(`0\r\n${serializeFields(passedTrailers(this.#trailers))}\r\n`, 'latin1')
    }
    reader.push(null)
    return undefined
  }
}
