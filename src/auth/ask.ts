/**
 * One question to a server that checks depend on: a GET, and the head of its answer. A kept-alive connection that the server
 * has closed meanwhile is replaced by a fresh one, once.
 */

import {
  request as httpRequest,
  type Agent,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http'
import type { Refusal } from '../errors.ts'
import { TIMER_MAX_MS } from '../timers.ts'

/**
 * The connections to one server, TLS included: node's HTTP client speaks plain HTTP over them. Answers were read and checked before
 * it gets them, as those of endpoints are. An error that ends a question may carry a `refusal`.
 */
export interface ServerAgent extends Agent {
  /** Makes a new connection for each question. */
  readonly fresh: Agent
  /** Idle connections are closed now, and the others behind their questions. */
  close(): void
}

export interface ServerAgentOptions {
  /** To connections above it questions wait. */
  readonly connectionsMax: number
  readonly idleMax: number
  /** For name lookup, TCP and TLS together. */
  readonly connectTimeoutMs: number
}

/** How servers are reached is decided above. */
export type ServerAgents = (url: URL, options: ServerAgentOptions) => ServerAgent

export interface Question {
  readonly url: URL
  readonly agent: ServerAgent
  /** With its own Host. */
  readonly fields: string[]
  /** From the question to the end of the answer's head. */
  readonly timeoutMs: number
}

/** `response` is unread: its body must be read (`bodyOf`) or destroyed. `own`: the failure is the gateway's. */
export type Reply =
  | { readonly kind: 'answered'; readonly response: IncomingMessage }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failed'; readonly cause: string; readonly own?: Refusal | undefined }

const HEAD_BYTES_MAX = 32 * 1024

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
    this.#timer = setTimeout(this.#onTimeout, Math.min(question.timeoutMs, TIMER_MAX_MS))
  }

  start(): void {
    const { url, agent, fields } = this.#question
    const request = httpRequest({
      agent: this.#isRetry ? agent.fresh : agent,
      path: `${url.pathname}${url.search}`,
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
    // A broken body is seen by its premature end; an error that nobody listens for would be fatal.
    response.on('error', ignore)
    this.#settle({ kind: 'answered', response })
  }

  readonly #onError = (error: AgentError): void => {
    if (this.#isSettled) return
    const isStale = error.code === 'ECONNRESET' || error.code === 'EPIPE'
    if (isStale && this.#request?.reusedSocket === true && !this.#isRetry) {
      this.#isRetry = true
      this.#request.off('close', this.#onClose)
      this.start()
      return
    }
    const cause = error.message || (error.code ?? 'unknown error')
    const own = error.refusal?.code === 'E_GATEWAY_EXHAUSTED' ? error.refusal : undefined
    this.#settle({ kind: 'failed', cause, own })
  }

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

interface AgentError extends NodeJS.ErrnoException {
  readonly refusal?: Refusal
}

function ignore(): void {}

/** Why there is no body: it is longer than it may be, has not ended in time, or breaks off. */
export type BodyFailure = 'long' | 'late' | 'cut'

/** The whole body of an answer. It is read at once and never rejects; without it the connection closes. */
export function bodyOf(
  response: IncomingMessage,
  bytesMax: number,
  timeoutMs: number,
): Promise<Buffer | BodyFailure> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const end = (body: Buffer | BodyFailure): void => {
      clearTimeout(timer)
      resolve(body)
      if (typeof body === 'string') response.destroy()
    }
    const timer = setTimeout(end, Math.max(0, Math.min(timeoutMs, TIMER_MAX_MS)), 'late')
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > bytesMax) end('long')
    })
    response.on('end', () => end(Buffer.concat(chunks)))
    response.on('close', () => end('cut'))
  })
}
