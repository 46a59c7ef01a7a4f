/**
 * The keys of an identity provider (a JWK Set behind a URL). They are fetched when the first token comes, kept, and
 * fetched again when they are old or a token names an unknown one. While the provider is down the kept ones go on to
 * work; without any, nobody gets in.
 */

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  type RemoteJWKSet,
} from 'jose'
import { Refusal } from '../errors.ts'
import { exhaustion } from '../exhausted.ts'
import { messageOf } from './error-message.ts'
import type { AuthLog } from './identity.ts'

export interface RemoteKeysOptions {
  readonly name: string
  readonly url: string
  readonly log: AuthLog
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
  readonly #remote: RemoteJWKSet
  #fetchedAtMs = 0
  #failedAtMs = -Infinity
  #failure: Refusal | undefined

  constructor(options: RemoteKeysOptions) {
    this.#options = options
    this.#remote = createRemoteJWKSet(new URL(options.url), {
      timeoutDuration: options.timeoutMs ?? TIMEOUT_MS,
      cooldownDuration: COOL_DOWN_MS,
      // Old keys are better than none; `find` sees to fresh ones.
      cacheMaxAge: Infinity,
      [customFetch]: (url, init) => this.#fetch(url, init),
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

  async #fetch(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    if (this.#failure !== undefined && this.#isPausing()) throw new KeysUnavailable(this.#failure)
    try {
      const keySet = await fetchKeySet(url, init)
      this.#fetchedAtMs = Date.now()
      if (this.#failure !== undefined) {
        this.#options.log.info({ check: this.#options.name, url }, 'key set available again')
      }
      this.#failure = undefined
      return Response.json(keySet)
    } catch (error) {
      throw new KeysUnavailable(this.#fail(url, error, init.signal.aborted))
    }
  }

  /** Logs the first failure in a row, not each. */
  #fail(url: string, error: unknown, timedOut: boolean): Refusal {
    const { name, log } = this.#options
    const root = rootOf(error)
    // The next token tries again: the provider has not failed.
    const own = root instanceof Error ? exhaustion(root) : undefined
    if (own !== undefined) return own
    const cause = `${name}: the key set cannot be fetched: ${messageOf(root)}`
    if (this.#failure === undefined) log.warn({ check: name, url, cause }, 'key set not available')
    this.#failure = new Refusal(timedOut ? 'E_AUTH_TIMEOUT' : 'E_AUTH_UNAVAILABLE', { cause })
    this.#failedAtMs = Date.now()
    return this.#failure
  }
}

async function fetchKeySet(url: string, init: RequestInit): Promise<JSONWebKeySet> {
  const response = await fetch(url, init)
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`status ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop by an error closes the connection.
  for await (const chunk of response.body) {
    bytes += chunk.length
    if (bytes > BYTES_MAX) throw new Error(`an answer of more than ${BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  const keySet = parseJson(Buffer.concat(chunks).toString('utf8')) as JSONWebKeySet
  // Throws for what is not a key set, while the failure can still be told from a token's.
  createLocalJWKSet(keySet)
  return keySet
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the answer is not JSON')
  }
}

/** What fetch wraps, sometimes twice: its own message says no more than that it failed. */
function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? rootOf(error.cause) : error
}
