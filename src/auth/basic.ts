/**
 * User name and password (RFC 7617) against an htpasswd file. A password that was right is remembered for a while as a
 * keyed digest, so that a thousand clients that come back at once cost one bcrypt each, or none.
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { BasicAuthConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { clientKey } from '../request/client-key.ts'
import { fieldValues } from '../request/headers.ts'
import { BcryptQueue, type Verify } from './bcrypt-queue.ts'
import { basicChallenge } from './challenge.ts'
import { EntryGrant, renewEntry, type Entry, type EntryGiver } from './entry-grant.ts'
import type { Grant } from './grant.ts'
import { parseHtpasswd, type Password, type Users } from './htpasswd.ts'
import { anonymous, type AuthLog, type Check, type Identity } from './identity.ts'
import { watchFile, type WatchedFile } from './watched-file.ts'

export interface BasicOptions {
  /** Stands in for bcrypt. */
  readonly verify?: Verify
  /** How often the file is looked at. */
  readonly intervalMs?: number
}

const REMEMBERED_MS = 5 * 60_000
const REMEMBERED_MAX = 10_000
const CREDENTIALS_CHARS_MAX = 4096
const PASSWORD_BYTES_MAX = 1024
const BCRYPT_BYTES_MAX = 72

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\0-\x1f\x7f]/

/** Rejects when the users' file cannot be read. Refusals: E_AUTH_MISSING, E_AUTH_INVALID, E_AUTH_BUSY. */
export async function createBasicCheck(
  config: BasicAuthConfig,
  log: AuthLog,
  options: BasicOptions = {},
): Promise<Check> {
  const users = await watchFile({
    path: config.users,
    what: `users of auth.${config.name}`,
    parse: parseHtpasswd,
    log,
    intervalMs: options.intervalMs,
  })
  return new BasicCheck(config, users, new BcryptQueue(options.verify))
}

class BasicCheck implements Check, EntryGiver {
  readonly name: string
  readonly ownFields: readonly string[] = []
  readonly onChange: Check['onChange']
  readonly #users: WatchedFile<Users>
  readonly #queue: BcryptQueue
  /** Of this process alone: a digest that leaks is of no use elsewhere. */
  readonly #digestKey = randomBytes(32)
  readonly #remembered = new LRUCache<string, true>({ max: REMEMBERED_MAX, ttl: REMEMBERED_MS })
  readonly #missing: Refusal
  readonly #malformed: Refusal
  readonly #wrong: Refusal
  readonly #busy: Refusal

  constructor(config: BasicAuthConfig, users: WatchedFile<Users>, queue: BcryptQueue) {
    this.name = config.name
    this.#users = users
    if (config.closeOnExpiry) this.onChange = (listener) => users.onReload(listener)
    this.#queue = queue
    const fields = basicChallenge(config.realm)
    const cause = (what: string) => `${config.name}: ${what}`
    this.#missing = new Refusal('E_AUTH_MISSING', { fields })
    this.#malformed = new Refusal('E_AUTH_INVALID', {
      fields,
      cause: cause('the Authorization field is malformed'),
    })
    // The same for an unknown user: whoever reads the answer or the log learns nothing about who exists.
    this.#wrong = new Refusal('E_AUTH_INVALID', { fields, cause: cause('wrong user or password') })
    this.#busy = new Refusal('E_AUTH_BUSY', {
      retryAfterSeconds: 1,
      cause: cause('too many passwords are being checked'),
    })
  }

  check(facts: RequestFacts): Identity | Refusal | Promise<Identity | Refusal> {
    const values = fieldValues(facts.fields, 'authorization')
    const basic = values.find(isBasic)
    if (basic === undefined) return this.#missing
    // Two of them: another reader of this request may take the other one.
    const credentials = values.length === 1 ? parseCredentials(basic) : undefined
    if (credentials === undefined) return this.#malformed
    const { user, password } = credentials
    const { passwords, dummyFor } = this.#users.value
    const dummy = dummyFor(user)
    const stored = passwords.get(user) ?? dummy
    const digest = this.#digest(user, password, stored)
    if (this.#remembered.has(digest)) return identityOf(this, stored)
    // A {SHA} user among bcrypt users must not stand out by a quick answer.
    const isRight = stored.scheme === 'sha' && fitsSha(password, stored)
    const hash = stored.scheme === 'bcrypt' ? stored.hash : dummy.hash
    if (dummy.scheme === 'sha') return isRight ? identityOf(this, stored) : this.#wrong
    const client = clientKey(facts.clientIp)
    const verified = this.#queue.verify({ key: digest, client, password, hash })
    if (verified === undefined) return this.#busy
    // bcrypt reads no more of a password: what differs behind that would be the same one.
    const isRead = Buffer.byteLength(password) <= BCRYPT_BYTES_MAX
    return verified.then((fits) => {
      if (!(fits && isRead && stored.scheme === 'bcrypt') && !isRight) return this.#wrong
      this.#remembered.set(digest, true)
      return identityOf(this, stored)
    })
  }

  has({ user, hash }: Entry): boolean {
    return this.#users.value.passwords.get(user)?.hash === hash
  }

  renew(grant: Grant): Grant | undefined {
    return renewEntry(this, grant)
  }

  close(): void {
    this.#users.close()
  }

  /** The stored hash is part of it: after a change of the file the old password is not remembered. */
  #digest(user: string, password: string, stored: Password): string {
    return createHmac('sha256', this.#digestKey)
      .update(`${user}\0${password}\0${stored.hash}`)
      .digest('base64')
  }
}

/** The name as the file has it: as a piece of what the client sent it would keep the password in memory. */
function identityOf(giver: EntryGiver, stored: Password): Identity {
  return { ...anonymous, user: stored.user, grants: [new EntryGrant(giver, stored)] }
}

function isBasic(value: string): boolean {
  return value.slice(0, 6).toLowerCase() === 'basic ' || value.toLowerCase() === 'basic'
}

/**
 * RFC 7617 2: base64 of user, colon, password. Undefined unless it is exactly that: canonical base64, valid UTF-8, no
 * control characters.
 */
function parseCredentials(
  value: string,
): { readonly user: string; readonly password: string } | undefined {
  const encoded = value.slice(6).trim()
  if (encoded.length > CREDENTIALS_CHARS_MAX) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) return undefined
  const text = decodeUtf8(bytes)
  if (text === undefined || CONTROL.test(text)) return undefined
  const colon = text.indexOf(':')
  if (colon === -1) return undefined
  const password = text.slice(colon + 1)
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return undefined
  return { user: text.slice(0, colon), password }
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function fitsSha(password: string, stored: Password): boolean {
  const given = createHash('sha1').update(password).digest()
  const wanted = Buffer.from(stored.hash, 'base64')
  return wanted.length === given.length && timingSafeEqual(given, wanted)
}
