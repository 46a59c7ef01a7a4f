/**
 * Asks another server whether a request may pass, as nginx's auth_request and Traefik's forwardAuth do. Its 2xx is a yes;
 * any other answer (a redirect to a login page, a 401 with a challenge) goes to the client as it came.
 */

import type { IncomingMessage } from 'node:http'
import type { ForwardAuthConfig } from '../config/config.ts'
import { Refusal, type Fields } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { aliasOf } from '../request/field-names.ts'
import { clientKey } from '../request/client-key.ts'
import { fieldValue, fieldValues, hopByHop, listItems } from '../request/headers.ts'
import { SharedLimit, shareOf } from '../share.ts'
import { ask, bodyOf, type Reply, type ServerAgent, type ServerAgents } from './ask.ts'
import { questionFields } from './forward-request.ts'
import type { Grant, Recheck, Standing } from './grant.ts'
import { anonymous, isUserName, USER_FIELD, type Check, type Identity } from './identity.ts'
import { Turns } from './turns.ts'

/** Questions at once, of one client an eighth; more of them wait, and their time runs. */
const CONNECTIONS_MAX = 512

/** Questions under way, those that wait included. One client may have an eighth of them. */
const QUESTIONS_MAX = 4 * CONNECTIONS_MAX

/** Connections that are kept open between questions. */
const IDLE_CONNECTIONS_MAX = 64

/**
 * Of an answer's body. That of a yes is of no use, and read so that its connection can be used again; that of a denial is read
 * at once, whether or not the client reads it: no client holds connections to the server by that.
 */
const BODY_BYTES_MAX = 64 * 1024

const FRAMING: ReadonlySet<string> = new Set(['content-length', 'trailer'])

/** Copying them would change how the request to the upstream is framed or where it goes. */
const neverCopied: ReadonlySet<string> = new Set([...hopByHop, 'content-length', 'host', 'trailer'])

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Refusals: E_AUTH_TIMEOUT, E_AUTH_UNAVAILABLE, E_AUTH_BUSY, E_GATEWAY_EXHAUSTED, and E_FORWARD_DENIED, whose `details.answer` holds the
 * server's answer.
 */
export function createForwardCheck(config: ForwardAuthConfig, agents: ServerAgents): Check {
  return new ForwardCheck(config, agents)
}

class ForwardCheck implements Check {
  readonly name: string
  readonly ownFields: readonly string[]
  readonly #config: ForwardAuthConfig
  readonly #url: URL
  readonly #agent: ServerAgent
  /** Questions under way, by client. */
  readonly #places = new SharedLimit(QUESTIONS_MAX)
  /** Those that have connections. */
  readonly #turns = new Turns(shareOf(CONNECTIONS_MAX))
  readonly #busy: Refusal
  readonly #copied: ReadonlySet<string>
  readonly #own: ReadonlySet<string>

  constructor(config: ForwardAuthConfig, agents: ServerAgents) {
    this.name = config.name
    this.#config = config
    const cause = `${config.name}: too many questions to the authorization server are under way`
    this.#busy = new Refusal('E_AUTH_BUSY', { retryAfterSeconds: 1, cause })
    this.#url = new URL(config.url)
    this.#agent = agents(this.#url, {
      connectionsMax: CONNECTIONS_MAX,
      idleMax: IDLE_CONNECTIONS_MAX,
      connectTimeoutMs: config.timeoutMs,
    })
    const copied = config.copy.map((name) => name.toLowerCase())
    this.#copied = new Set(copied.filter((name) => !neverCopied.has(name)))
    const own = [...copied, config.userHeader?.toLowerCase() ?? USER_FIELD, USER_FIELD]
    this.#own = new Set(own.map(aliasOf))
    this.ownFields = [...this.#own]
  }

  async check(facts: RequestFacts): Promise<Identity | Refusal> {
    const client = clientKey(facts.clientIp)
    const place = this.#places.take(client)
    if (typeof place === 'string') return this.#busy
    try {
      return await this.#inTurn(client, facts)
    } finally {
      place.leave()
    }
  }

  async #inTurn(client: string, facts: RequestFacts): Promise<Identity | Refusal> {
    const fromMs = performance.now()
    const end = await this.#turns.take(client, this.#config.timeoutMs)
    if (end === undefined) return this.#unanswered({ kind: 'timeout' })
    const fields = questionFields(facts, this.#url.host, this.#own)
    const reply = await this.#ask(fields, fromMs)
    if (reply.kind !== 'answered') {
      end()
      return this.#unanswered(reply)
    }
    // Until then its connection is in use, by whatever the server still sends.
    reply.response.on('close', end)
    return this.#read(reply.response, fields)
  }

  #unanswered(reply: Exclude<Reply, { readonly kind: 'answered' }>): Refusal {
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
    this.#agent.close()
  }

  #ask(fields: string[], fromMs = performance.now()): Promise<Reply> {
    const timeoutMs = Math.max(0, this.#config.timeoutMs - (performance.now() - fromMs))
    return ask({ url: this.#url, agent: this.#agent, fields, timeoutMs })
  }

  #causeOf(reply: Reply): string {
    if (reply.kind === 'failed') return `${this.name}: ${reply.cause}`
    if (reply.kind === 'timeout')
      return `${this.name}: no answer within ${this.#config.timeoutMs} ms`
    return `${this.name}: the authorization server answered ${reply.response.statusCode}`
  }

  #read(response: IncomingMessage, question: readonly string[]): Identity | Promise<Refusal> {
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

  /** A body that is too long, late or broken off is left out: that the client may not pass is said by the head. */
  async #denied(response: IncomingMessage): Promise<Refusal> {
    const { statusCode: status = 0, statusMessage: reason = '', rawHeaders } = response
    const cause = this.#causeOf({ kind: 'answered', response })
    const read = await bodyOf(response, BODY_BYTES_MAX, this.#config.timeoutMs)
    const body = typeof read === 'string' ? Buffer.alloc(0) : read
    const fields = [...endToEndFields(rawHeaders), 'Content-Length', String(body.length)]
    return new Refusal('E_FORWARD_DENIED', { cause, answer: { status, reason, fields, body } })
  }

  #drain(response: IncomingMessage): void {
    void bodyOf(response, BODY_BYTES_MAX, this.#config.timeoutMs)
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

/** RFC 9110 7.6.1. The framing is made anew. */
function endToEndFields(fields: Fields): Fields {
  const named = listItems(fieldValues(fields, 'connection')).map((name) => name.toLowerCase())
  const left: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const key = (fields[index] as string).toLowerCase()
    if (hopByHop.has(key) || named.includes(key) || FRAMING.has(key)) continue
    left.push(fields[index] as string, fields[index + 1] as string)
  }
  return left
}
