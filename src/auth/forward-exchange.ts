/**
 * One question to an authorization server: a GET, and the head of its answer. A kept-alive connection that the server
 * has closed meanwhile is replaced by a fresh one, once.
 */

import {
  request as httpRequest,
  type Agent,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Refusal } from '../errors.ts'
import { exhaustion } from '../exhausted.ts'

export interface Question {
  readonly url: URL
  readonly agent: Agent
  /** With its own Host. */
  readonly fields: string[]
  /** From the question to the end of the answer's head. */
  readonly timeoutMs: number
}

/** `response` is unread: whoever gets it must read it to its end or destroy it. `own`: the failure is the gateway's. */
export type Reply =
  | { readonly kind: 'answered'; readonly response: IncomingMessage }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failed'; readonly cause: string; readonly own?: Refusal | undefined }

const HEAD_BYTES_MAX = 32 * 1024

/** A body that does not move for this long is cut off, which also frees one that nobody reads. */
const BODY_IDLE_MS = 30_000

/** Never rejects. */
export function ask(question: Question): Promise<Reply> {
  return new Promise((resolve) => new Exchange(question, resolve).start())
}

class Exchange {
  readonly #question: Question
  readonly #resolve: (reply: Reply) => void
  readonly #timer: NodeJS.Timeout
  #request: ClientRequest | undefined
  #isSettled = false
  #isRetry = false

  constructor(question: Question, resolve: (reply: Reply) => void) {
    this.#question = question
    this.#resolve = resolve
    this.#timer = setTimeout(this.#onTimeout, question.timeoutMs)
  }

  start(): void {
    const { url, agent, fields } = this.#question
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const request = send(url, {
      // Without an agent it is a connection of its own.
      agent: this.#isRetry ? false : agent,
      headers: fields,
      maxHeaderSize: HEAD_BYTES_MAX,
    })
    // The head's size is bounded; beyond a number of fields node would drop the rest without a word.
    request.maxHeadersCount = 0
    request.on('response', this.#onResponse)
    request.on('error', this.#onError)
    request.on('close', this.#onClose)
    this.#request = request
    request.end()
  }

  readonly #onResponse = (response: IncomingMessage): void => {
    // Who reads it sees a broken body by its premature end; an error that nobody listens for would be fatal.
    response.on('error', ignore)
    this.#request?.setTimeout(BODY_IDLE_MS, () => response.destroy())
    this.#settle({ kind: 'answered', response })
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (this.#isSettled) return
    const isStale = error.code === 'ECONNRESET' || error.code === 'EPIPE'
    if (isStale && this.#request?.reusedSocket === true && !this.#isRetry) {
      this.#isRetry = true
      this.#request.off('close', this.#onClose)
      this.start()
      return
    }
    const cause = error.message || (error.code ?? 'unknown error')
    this.#settle({ kind: 'failed', cause, own: exhaustion(error) })
  }

  /** A server that switches protocols is cut off by node, and not always with an error. */
  readonly #onClose = (): void => {
    this.#settle({ kind: 'failed', cause: 'closed without an answer' })
  }

  readonly #onTimeout = (): void => {
    this.#settle({ kind: 'timeout' })
    this.#request?.destroy()
  }

  #settle(reply: Reply): void {
    if (this.#isSettled) return
    this.#isSettled = true
    clearTimeout(this.#timer)
    this.#resolve(reply)
  }
}

function ignore(): void {}
