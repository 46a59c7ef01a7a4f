/**
 * Asks another server whether a request may pass, as nginx's auth_request and Traefik's forwardAuth do. Its 2xx is a yes;
 * any other answer (a redirect to a login page, a 401 with a challenge) goes to the client as it came.
 */

import { Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { ForwardAuthConfig } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { aliasOf } from '../request/field-names.ts'
import { fieldValue, fieldValues, hopByHop, listItems } from '../request/headers.ts'
import { ask, type Reply } from './forward-exchange.ts'
import { questionFields } from './forward-request.ts'
import type { Grant, Recheck, Standing } from './grant.ts'
import { anonymous, isUserName, USER_FIELD, type Check, type Identity } from './identity.ts'

/** Questions at once; more of them wait, and their time runs. */
const CONNECTIONS_MAX = 512

/** Connections that are kept open between questions. */
const IDLE_CONNECTIONS_MAX = 64

/** The body of a yes is of no use; a short one is read so that its connection can be used again. */
const UNUSED_BODY_BYTES_MAX = 64 * 1024

/** Copying them would change how the request to the upstream is framed or where it goes. */
const neverCopied: ReadonlySet<string> = new Set([...hopByHop, 'content-length', 'host', 'trailer'])

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Refusals: E_AUTH_TIMEOUT, E_AUTH_UNAVAILABLE, E_GATEWAY_EXHAUSTED, and E_FORWARD_DENIED, whose `details.answer` holds the server's answer
 * with its body unread. Whoever takes that Refusal must read the body to its end or destroy it (`discardAnswer`);
 * otherwise it holds a connection for 30 s.
 */
export function createForwardCheck(config: ForwardAuthConfig): Check {
  return new ForwardCheck(config)
}

/** Frees what an answer holds that does not go to the client. */
export function discardAnswer(refusal: Refusal): void {
  const body = refusal.details.answer?.body
  if (body !== undefined && 'destroy' in body) (body as IncomingMessage).destroy()
}

class ForwardCheck implements Check {
  readonly name: string
  readonly ownFields: readonly string[]
  readonly #config: ForwardAuthConfig
  readonly #url: URL
  readonly #agent: HttpAgent
  readonly #copied: ReadonlySet<string>
  readonly #own: ReadonlySet<string>

  constructor(config: ForwardAuthConfig) {
    this.name = config.name
    this.#config = config
    this.#url = new URL(config.url)
    const Agent = this.#url.protocol === 'https:' ? HttpsAgent : HttpAgent
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: CONNECTIONS_MAX,
      maxFreeSockets: IDLE_CONNECTIONS_MAX,
    })
    const copied = config.copy.map((name) => name.toLowerCase())
    this.#copied = new Set(copied.filter((name) => !neverCopied.has(name)))
    const own = [...copied, config.userHeader?.toLowerCase() ?? USER_FIELD, USER_FIELD]
    this.#own = new Set(own.map(aliasOf))
    this.ownFields = [...this.#own]
  }

  async check(facts: RequestFacts): Promise<Identity | Refusal> {
    const fields = questionFields(facts, this.#url.host, this.#own)
    const reply = await this.#ask(fields)
    if (reply.kind === 'answered') return this.#read(reply.response, fields)
    if (reply.kind === 'failed' && reply.own !== undefined) return reply.own
    const code = reply.kind === 'failed' ? 'E_AUTH_UNAVAILABLE' : 'E_AUTH_TIMEOUT'
    return new Refusal(code, { cause: this.#causeOf(reply) })
  }

  /** The answer to a question that was answered with yes before, and is `asked` with the same fields. */
  async askAgain(fields: string[]): Promise<Standing> {
    const reply = await this.#ask(fields)
    if (reply.kind === 'answered') {
      this.#drain(reply.response)
      const status = reply.response.statusCode ?? 0
      if (status >= 200 && status <= 299) return { is: 'holds' }
      if (isFinal(status)) return { is: 'ended' }
    }
    return { is: 'unknown', cause: this.#causeOf(reply) }
  }

  renew(grant: Grant): Grant | undefined {
    return grant.giver === this ? grant : undefined
  }

  /** Questions that are under way get their answers; their connections close behind them. */
  close(): void {
    this.#agent.on('free', (socket) => socket.destroy())
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy()
    }
  }

  #ask(fields: string[]): Promise<Reply> {
    const { timeoutMs } = this.#config
    return ask({ url: this.#url, agent: this.#agent, fields, timeoutMs })
  }

  #causeOf(reply: Reply): string {
    if (reply.kind === 'failed') return `${this.name}: ${reply.cause}`
    if (reply.kind === 'timeout')
      return `${this.name}: no answer within ${this.#config.timeoutMs} ms`
    return `${this.name}: the authorization server answered ${reply.response.statusCode}`
  }

  #read(response: IncomingMessage, question: readonly string[]): Identity | Refusal {
    const status = response.statusCode ?? 0
    if (status < 200 || status > 299) return this.#denied(response)
    this.#drain(response)
    const fields: string[] = []
    const received = response.rawHeaders
    for (let index = 0; index < received.length; index += 2) {
      const name = received[index] as string
      if (this.#copied.has(name.toLowerCase())) fields.push(name, received[index + 1] as string)
    }
    const user = this.#userOf(received)
    return { ...anonymous, user, fields, grants: [this.#grant(user, question)] }
  }

  #grant(user: string | undefined, question: readonly string[]): Grant {
    const { recheckMs, onRecheckError } = this.#config
    const grant: Grant = { check: this.name, giver: this, user, expiresAtMs: undefined }
    if (recheckMs === Infinity) return grant
    return { ...grant, recheck: new SameQuestion(this, question, recheckMs, onRecheckError) }
  }

  #userOf(fields: Fields): string | undefined {
    const { userHeader } = this.#config
    if (userHeader === undefined) return undefined
    const value = fieldValue(fields, userHeader.toLowerCase())
    if (value === undefined) return undefined
    const user = textOf(value)
    return isUserName(user) ? user : undefined
  }

  #denied(response: IncomingMessage): Refusal {
    return new Refusal('E_FORWARD_DENIED', {
      cause: this.#causeOf({ kind: 'answered', response }),
      answer: {
        status: response.statusCode ?? 0,
        reason: response.statusMessage ?? '',
        fields: endToEndFields(response.rawHeaders),
        body: response,
      },
    })
  }

  #drain(response: IncomingMessage): void {
    const timer = setTimeout(() => response.destroy(), this.#config.timeoutMs)
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > UNUSED_BODY_BYTES_MAX) response.destroy()
    })
    response.on('close', () => clearTimeout(timer))
  }
}

/** A question that is asked anew while a tunnel is open. */
class SameQuestion implements Recheck {
  readonly everyMs: number
  readonly onError: 'keep' | 'close'
  readonly #check: ForwardCheck
  /** One text without ties: each value alone would keep the whole head alive that it was cut out of. */
  readonly #fields: string

  constructor(
    check: ForwardCheck,
    fields: readonly string[],
    everyMs: number,
    onError: 'keep' | 'close',
  ) {
    this.everyMs = everyMs
    this.onError = onError
    this.#check = check
    this.#fields = fields.join('\n')
  }

  ask(): Promise<Standing> {
    return this.#check.askAgain(this.#fields.split('\n'))
  }
}

/** What a server says that is down, overloaded or about to start is no answer to the question. */
function isFinal(status: number): boolean {
  return status < 500 && status !== 408 && status !== 429
}

/** Field values are bytes (RFC 9110 5.5); names of people come as UTF-8, or else as Latin-1. */
function textOf(value: string): string {
  try {
    return decoder.decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}

/** RFC 9110 7.6.1. Content-Length stays: the body goes on as it is. */
function endToEndFields(fields: Fields): Fields {
  const named = listItems(fieldValues(fields, 'connection')).map((name) => name.toLowerCase())
  const left: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const key = (fields[index] as string).toLowerCase()
    if (hopByHop.has(key) || named.includes(key)) continue
    left.push(fields[index] as string, fields[index + 1] as string)
  }
  return left
}
