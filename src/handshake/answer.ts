/** Writes answers to a client that speaks over a raw socket: the 101, an upstream's other answer, or one of our own. */

import { pipeline } from 'node:stream/promises'
import type { Readable } from 'node:stream'
import type { Answer, Fields } from '../errors.ts'
import type { Side } from '../relay/relay.ts'
import { bodyScanner, type BodyScanner, type Framing } from '../http1/framing.ts'
import type { Client } from './client.ts'
import { Silence } from './silence.ts'

/** A status line and fields, as bytes to be written in latin1. */
export function serializeHead(head: {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
}): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`
  for (let index = 0; index < head.fields.length; index += 2) {
    text += `${head.fields[index]}: ${head.fields[index + 1]}\r\n`
  }
  return `${text}\r\n`
}

/** How the relay of an answer went. */
export interface AnswerEnd {
  /** Bytes of the body that went to the client. */
  readonly bytesDown: number
  /** What broke it off; undefined when the answer arrived whole. */
  readonly cause: string | undefined
}

/** Writes an answer that is ours or an auth server's, then ends the exchange. `fields` hold no framing but Content-Length. */
export async function writeAnswer(client: Client, answer: Answer): Promise<void> {
  const { body } = answer
  const isBodyless = client.method === 'HEAD' || answer.status === 204 || answer.status === 304
  if (Buffer.isBuffer(body)) {
    const reuse = client.reusable
    const fields = reuse ? answer.fields : [...answer.fields, 'Connection', 'close']
    client.socket.write(serializeHead({ ...answer, fields }), 'latin1')
    if (!isBodyless) client.socket.write(body)
    client.finish(reuse)
    return
  }
  // The length of a streamed body is not always known: its end is the end of the connection.
  client.socket.write(
    serializeHead({ ...answer, fields: [...answer.fields, 'Connection', 'close'] }),
    'latin1',
  )
  if (isBodyless) (body as Readable).destroy()
  else await pipeline(body, client.socket, { end: false }).catch(() => client.socket.destroy())
  client.finish(false)
}

export interface RelayedAnswer {
  readonly status: number
  readonly reason: string
  /** Without hop-by-hop fields, but with the answer's own Content-Length or Transfer-Encoding. */
  readonly fields: Fields
  readonly framing: Framing
}

/**
 * Relays an upstream's answer whole, with back-pressure, and ends the exchange: the client's connection goes on to the
 * next request where both framings allow it. `idleMs` is how long no byte may move. Never rejects.
 */
export function relayAnswer(
  client: Client,
  upstream: Side,
  answer: RelayedAnswer,
  idleMs: number,
): Promise<AnswerEnd> {
  return new Promise((resolve) => new AnswerRelay(client, upstream, answer, resolve).start(idleMs))
}

class AnswerRelay {
  readonly #client: Client
  readonly #upstream: Side
  readonly #answer: RelayedAnswer
  readonly #resolve: (end: AnswerEnd) => void
  readonly #scanner: BodyScanner
  readonly #silence = new Silence()
  /** HTTP/1.0 has no chunked coding: its clients get the content, ended by the close. */
  readonly #decodes: boolean
  #bytesDown = 0
  #isOver = false

  constructor(
    client: Client,
    upstream: Side,
    answer: RelayedAnswer,
    resolve: (end: AnswerEnd) => void,
  ) {
    this.#client = client
    this.#upstream = upstream
    this.#answer = answer
    this.#resolve = resolve
    this.#scanner = bodyScanner(answer.framing)
    this.#decodes = answer.framing.kind === 'chunked' && client.httpVersion === '1.0'
  }

  start(idleMs: number): void {
    const { socket, unread, ended } = this.#upstream
    this.#client.socket.write(serializeHead({ ...this.#answer, fields: this.#fields() }), 'latin1')
    if (this.#scanner.done) return this.#end(undefined)
    this.#silence.watch(idleMs, this.#onIdle)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    this.#client.socket.on('drain', this.#onDrain)
    this.#client.onGone = this.#onClientGone
    for (const chunk of unread) this.#onData(chunk)
    if (ended) this.#onEnd()
    else if (!this.#client.socket.writableNeedDrain) socket.resume()
  }

  #fields(): Fields {
    const kept = this.#decodes
      ? without(this.#answer.fields, 'transfer-encoding')
      : this.#answer.fields
    return this.#willReuse() ? kept : [...kept, 'Connection', 'close']
  }

  #willReuse(): boolean {
    return this.#client.reusable && this.#answer.framing.kind !== 'close'
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#silence.touch()
    const scanned = this.#scanner.scan(chunk, this.#decodes ? this.#write : undefined)
    if (scanned === undefined) return this.#end('the chunked body is broken')
    if (!this.#decodes) this.#write(chunk.subarray(0, scanned.bytes))
    if (scanned.done) this.#end(undefined)
  }

  readonly #write = (content: Buffer): void => {
    this.#bytesDown += content.length
    if (!this.#client.socket.write(content)) this.#upstream.socket.pause()
  }

  readonly #onDrain = (): void => {
    this.#silence.touch()
    this.#upstream.socket.resume()
  }

  readonly #onEnd = (): void => {
    this.#end(
      this.#answer.framing.kind === 'close'
        ? undefined
        : 'the upstream ended in the middle of its answer',
    )
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#end(error.code ?? error.message)
  }

  readonly #onIdle = (): void => {
    this.#end('idle')
  }

  readonly #onClientGone = (): void => {
    this.#end('the client left')
  }

  #end(cause: string | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    const { socket } = this.#upstream
    this.#silence.end()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.destroy()
    this.#client.socket.off('drain', this.#onDrain)
    this.#client.onGone = undefined
    // A truncated answer must look truncated: never a clean end.
    if (cause === undefined) this.#client.finish(this.#willReuse())
    else this.#client.socket.destroy()
    this.#resolve({ bytesDown: this.#bytesDown, cause })
  }
}

function without(fields: Fields, lowerName: string): string[] {
  const kept: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (name.toLowerCase() !== lowerName) kept.push(name, fields[index + 1] as string)
  }
  return kept
}
