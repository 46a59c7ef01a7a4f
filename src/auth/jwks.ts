/**
 * The keys of an identity provider (a JWK Set behind a URL). They are fetched when the first token comes, kept, and
 * fetched again when they are old or a token names an unknown one. While the provider is down the kept ones go on to
 * work; without any, nobody gets in.
 */

import {
  createRemoteJWKSet,
  customFetch,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  type RemoteJWKSet,
} from 'jose'
import { Refusal } from '../errors.ts'
import { ask, bodyOf, type ServerAgent, type ServerAgents } from './ask.ts'
import type { AuthLog } from './identity.ts'
import { isFitKey } from './public-key.ts'

export interface RemoteKeysOptions {
  readonly name: string
  readonly url: string
  readonly log: AuthLog
  readonly agents: ServerAgents
  /** For the whole fetch; 5 s unless given. */
  readonly timeoutMs?: number | undefined
}

/** Thrown out of a key search, through jose: the token is neither right nor wrong. */
export class KeysUnavailable extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.details.cause)
    this.name = 'KeysUnavailable'
    this.refusal = refusal
  }
}

const TIMEOUT_MS = 5000

/** Keys older than this are fetched anew, beside the requests that use them. */
const REFRESH_MS = 10 * 60_000

/** How long after a fetch an unknown key does not cause another: whoever makes up key ids must not load the provider. */
const COOL_DOWN_MS = 30_000

/** How long after a fetch that failed none is tried. */
const PAUSE_MS = 1000

const BYTES_MAX = 512 * 1024

export class RemoteKeys {
  readonly #options: RemoteKeysOptions
  readonly #url: URL
  readonly #timeoutMs: number
  readonly #agent: ServerAgent
  readonly #remote: RemoteJWKSet
  #fetchedAtMs = 0
  #failedAtMs = -Infinity
  #failure: Refusal | undefined
  /** Keys of the last set that cannot be used. */
  #unfit = 0

  constructor(options: RemoteKeysOptions) {
    const { url, agents, timeoutMs = TIMEOUT_MS } = options
    this.#options = options
    this.#url = new URL(url)
    this.#timeoutMs = timeoutMs
    this.#agent = agents(this.#url, {
      connectionsMax: Infinity,
      idleMax: 0,
      connectTimeoutMs: timeoutMs,
    })
    this.#remote = createRemoteJWKSet(this.#url, {
      cooldownDuration: COOL_DOWN_MS,
      // Old keys are better than none; `find` sees to fresh ones.
      cacheMaxAge: Infinity,
      [customFetch]: (_, { headers }) => this.#fetch(headers),
    })
  }

  /** Finds a token's key. Rejects with KeysUnavailable, or with jose's error when the set has no key for the token. */
  readonly find: JWTVerifyGetKey = (header, token) => {
    const isOld = Date.now() - this.#fetchedAtMs > REFRESH_MS
    if (
      isOld &&
      this.#remote.jwks() !== undefined &&
      !this.#remote.reloading &&
      !this.#isPausing()
    ) {
      // Its failure is logged where it happens, and this request has the kept keys.
      this.#remote.reload().catch(() => undefined)
    }
    return this.#remote(header, token)
  }

  #isPausing(): boolean {
    return Date.now() - this.#failedAtMs < PAUSE_MS
  }

  async #fetch(headers: Headers): Promise<Response> {
    if (this.#failure !== undefined && this.#isPausing()) throw new KeysUnavailable(this.#failure)
    const { name, url, log } = this.#options
    const fetched = await this.#fetchKeys(headers)
    if (fetched instanceof Refusal) throw new KeysUnavailable(this.#failed(fetched))
    this.#fetchedAtMs = Date.now()
    if (this.#failure !== undefined) log.info({ check: name, url }, 'key set available again')
    this.#failure = undefined
    const keys = fetched.filter(isFitKey)
    const unfit = fetched.length - keys.length
    if (unfit > 0 && unfit !== this.#unfit) {
      const cause = `${unfit} of ${fetched.length} keys are no public keys for signatures, or too short`
      log.warn({ check: name, url, cause }, 'key set has keys that cannot be used')
    }
    this.#unfit = unfit
    return Response.json({ keys })
  }

  /** What the set holds, which may be anything, or why it cannot be had. */
  async #fetchKeys(headers: Headers): Promise<readonly unknown[] | Refusal> {
    const url = this.#url
    const untilMs = performance.now() + this.#timeoutMs
    const fields = ['Host', url.host, ...[...headers].flat()]
    const reply = await ask({ url, agent: this.#agent, fields, timeoutMs: this.#timeoutMs })
    if (reply.kind === 'timeout') return this.#late()
    if (reply.kind === 'failed') return reply.own ?? this.#unavailable(reply.cause)
    const { response } = reply
    if (response.statusCode !== 200) {
      response.destroy()
      return this.#unavailable(`status ${response.statusCode}`)
    }
    const body = await bodyOf(response, BYTES_MAX, untilMs - performance.now())
    if (body === 'late') return this.#late()
    if (body === 'long') return this.#unavailable(`an answer of more than ${BYTES_MAX} bytes`)
    if (body === 'cut') return this.#unavailable('the answer breaks off')
    const keys = keysIn(body.toString('utf8'))
    return typeof keys === 'string' ? this.#unavailable(keys) : keys
  }

  #late(): Refusal {
    return new Refusal('E_AUTH_TIMEOUT', {
      cause: this.#causeOf(`no answer within ${this.#timeoutMs} ms`),
    })
  }

  #unavailable(what: string): Refusal {
    return new Refusal('E_AUTH_UNAVAILABLE', { cause: this.#causeOf(what) })
  }

  #causeOf(what: string): string {
    return `${this.#options.name}: the key set cannot be fetched: ${what}`
  }

  /** Logs the first failure in a row, not each. */
  #failed(refusal: Refusal): Refusal {
    // The provider has not failed: the next token tries again.
    if (refusal.code === 'E_GATEWAY_EXHAUSTED') return refusal
    const { name, url, log } = this.#options
    const { cause } = refusal.details
    if (this.#failure === undefined) log.warn({ check: name, url, cause }, 'key set not available')
    this.#failure = refusal
    this.#failedAtMs = Date.now()
    return refusal
  }
}

/** RFC 7517 5: the members of a JWK Set, or what is wrong with the text. */
function keysIn(text: string): readonly unknown[] | string {
  try {
    const set = JSON.parse(text) as Partial<JSONWebKeySet> | null
    return Array.isArray(set?.keys) ? set.keys : 'the answer is no JSON Web Key Set'
  } catch {
    return 'the answer is not JSON'
  }
}
