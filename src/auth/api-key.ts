/** A key in a field of its own, against a file of `name:sha256hex` lines. The file holds no key that would let one in. */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { ApiKeyAuthConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { fieldValues } from '../request/headers.ts'
import { apiKeyChallenge } from './challenge.ts'
import { EntryGrant, ownLine, renewEntry, type Entry, type EntryGiver } from './entry-grant.ts'
import type { Grant } from './grant.ts'
import { anonymous, isUserName, type AuthLog, type Check, type Identity } from './identity.ts'
import { watchFile, type WatchedFile } from './watched-file.ts'

export interface ApiKeyOptions {
  /** How often the file is looked at. */
  readonly intervalMs?: number
}

interface StoredKey extends Entry {
  readonly digest: Buffer
}

const KEY_CHARS_MAX = 1024

/** Rejects when the file of keys cannot be read. Refusals: E_AUTH_MISSING, E_AUTH_INVALID. */
export async function createApiKeyCheck(
  config: ApiKeyAuthConfig,
  log: AuthLog,
  options: ApiKeyOptions = {},
): Promise<Check> {
  const keys = await watchFile({
    path: config.keys,
    what: `keys of auth.${config.name}`,
    parse: parseKeys,
    log,
    intervalMs: options.intervalMs,
  })
  return new ApiKeyCheck(config, keys)
}

class ApiKeyCheck implements Check, EntryGiver {
  readonly name: string
  readonly ownFields: readonly string[] = []
  readonly onChange: Check['onChange']
  readonly #header: string
  readonly #keys: WatchedFile<ReadonlyMap<string, StoredKey>>
  readonly #missing: Refusal
  readonly #wrong: Refusal

  constructor(config: ApiKeyAuthConfig, keys: WatchedFile<ReadonlyMap<string, StoredKey>>) {
    this.name = config.name
    this.#header = config.header.toLowerCase()
    this.#keys = keys
    if (config.closeOnExpiry) this.onChange = (listener) => keys.onReload(listener)
    const fields = apiKeyChallenge(config.header)
    this.#missing = new Refusal('E_AUTH_MISSING', { fields })
    this.#wrong = new Refusal('E_AUTH_INVALID', { fields, cause: `${config.name}: unknown key` })
  }

  check(facts: RequestFacts): Identity | Refusal {
    const values = fieldValues(facts.fields, this.#header)
    const key = values[0]
    if (key === undefined || key === '') return this.#missing
    if (values.length > 1 || key.length > KEY_CHARS_MAX) return this.#wrong
    const digest = createHash('sha256').update(key, 'latin1').digest()
    // How long the look-up takes depends on the digest of a guess, and nobody can steer that towards a stored digest byte
    // by byte. The comparison of what was found is in constant time all the same.
    const stored = this.#keys.value.get(digest.toString('hex'))
    if (stored === undefined || !timingSafeEqual(stored.digest, digest)) return this.#wrong
    return { ...anonymous, user: stored.user, grants: [new EntryGrant(this, stored)] }
  }

  has({ user, hash }: Entry): boolean {
    return this.#keys.value.get(hash)?.user === user
  }

  renew(grant: Grant): Grant | undefined {
    return renewEntry(this, grant)
  }

  close(): void {
    this.#keys.close()
  }
}

/**
 * A name may have several keys, so that they can be exchanged without a gap. Throws an Error that names the line and
 * never repeats a digest.
 */
function parseKeys(text: string): ReadonlyMap<string, StoredKey> {
  const keys = new Map<string, StoredKey>()
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const entry = ownLine(line.trim())
    if (entry === '' || entry.startsWith('#')) continue
    const wrong = (what: string) => new Error(`line ${index + 1}: ${what}`)
    const [, name = '', hex = ''] = /^([^:]*):([0-9A-Fa-f]{64})$/.exec(entry) ?? []
    if (!isUserName(name)) {
      throw wrong('expected name:sha256hex, the digest made by: printf %s KEY | sha256sum')
    }
    const hash = hex.toLowerCase()
    if (keys.has(hash)) throw wrong(`${name} has the key of another line`)
    keys.set(hash, { user: name, hash, digest: Buffer.from(hex, 'hex') })
  }
  return keys
}
