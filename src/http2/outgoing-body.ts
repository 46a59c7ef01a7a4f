/** The body of a message that the gateway writes in HTTP/1.1, on its way to a stream: HTTP/2 has it without its framing. */

import type { OutgoingHttpHeaders } from 'node:http2'
import { bodyScanner, type BodyScanner, type Framing } from '../http1/framing.ts'
import { parseFieldLines } from '../http1/response-head.ts'
import { headersOf } from './fields.ts'

export interface BodySink {
  onData(bytes: Buffer): void
  /** The body is whole. Not called where there is none. */
  onWhole(trailers: OutgoingHttpHeaders): void
}

export class OutgoingBody {
  readonly #sink: BodySink
  readonly #leftOut: ReadonlySet<string>
  /** Undefined for bytes without an end of their own. */
  readonly #scanner: BodyScanner | undefined

  /** `leftOut`: lower-case names that no trailer has. */
  constructor(framing: Framing, sink: BodySink, leftOut: ReadonlySet<string>) {
    this.#sink = sink
    this.#leftOut = leftOut
    this.#scanner = framing.kind === 'close' ? undefined : bodyScanner(framing)
  }

  get isWhole(): boolean {
    return this.#scanner?.done === true
  }

  /** Whether nothing is missing if nothing more comes. */
  get mayEnd(): boolean {
    return this.#scanner === undefined || this.#scanner.done
  }

  /** What comes behind its end is dropped. Throws for broken chunks: that is a defect of the gateway. */
  push(bytes: Buffer): void {
    const scanner = this.#scanner
    if (bytes.length === 0 || this.isWhole) return
    if (scanner === undefined) {
      this.#sink.onData(bytes)
      return
    }
    const onData = (content: Buffer): void => this.#sink.onData(content)
    if (scanner.scan(bytes, onData) === undefined) throw new Error('a body with broken chunks')
    if (!scanner.done) return
    const fields = parseFieldLines(scanner.trailers.split('\r\n').slice(0, -1))
    this.#sink.onWhole(typeof fields === 'string' ? {} : headersOf(fields, this.#leftOut))
  }
}
