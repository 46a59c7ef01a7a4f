/** Where the key comes from that a token's signature is checked with: a shared secret, a file, or a key set. */

import { createPublicKey, webcrypto, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { JWTVerifyGetKey } from 'jose'
import type { JwtAuthConfig } from '../config/config.ts'
import type { ServerAgents } from './ask.ts'
import type { AuthLog } from './identity.ts'
import { RemoteKeys } from './jwks.ts'
import { whyUnfit } from './public-key.ts'
import { watchFile } from './watched-file.ts'

export interface KeySource {
  readonly find: JWTVerifyGetKey
  /** The configured ones that go with this kind of key; never `none`. */
  readonly algorithms: readonly string[]
  close(): void
}

export interface KeySourceOptions {
  readonly log: AuthLog
  /** For the fetch of a key set. */
  readonly agents: ServerAgents
  /** How often a key file is looked at. */
  readonly intervalMs?: number | undefined
  readonly timeoutMs?: number | undefined
}

/** Rejects when a key file cannot be read. */
export async function openKeySource(
  config: JwtAuthConfig,
  { log, agents, intervalMs, timeoutMs }: KeySourceOptions,
): Promise<KeySource> {
  const { name, secret, publicKey, jwks } = config
  if (secret !== undefined) return secretSource(secret, config.algorithms.filter(isHmac))
  // A public key must never be taken for a secret: everybody has it, and could sign with it.
  const algorithms = config.algorithms.filter(
    (algorithm) => !isHmac(algorithm) && algorithm !== 'none',
  )
  if (publicKey !== undefined) {
    const file = await watchFile({
      path: publicKey,
      what: `key of auth.${name}`,
      parse: parsePublicKey,
      log,
      intervalMs,
    })
    return { find: () => file.value, algorithms, close: () => file.close() }
  }
  if (jwks === undefined)
    throw new Error(`auth.${name}: one of jwks, secret and publicKey is needed`)
  const keys = new RemoteKeys({ name, url: jwks, log, agents, timeoutMs })
  return { find: keys.find, algorithms, close: () => undefined }
}

/** The secret is imported once for each algorithm, not for each token. */
async function secretSource(secret: string, algorithms: readonly string[]): Promise<KeySource> {
  const keys = new Map<string, webcrypto.CryptoKey>()
  for (const algorithm of algorithms) {
    const parameters = { name: 'HMAC', hash: `SHA-${algorithm.slice(2)}` }
    const bytes = Buffer.from(secret, 'utf8')
    const key = await webcrypto.subtle.importKey('raw', bytes, parameters, false, ['verify'])
    keys.set(algorithm, key)
  }
  return {
    find: ({ alg }) => keys.get(alg) as webcrypto.CryptoKey,
    algorithms,
    close: () => undefined,
  }
}

/** A PEM public key (SPKI), a PEM certificate or a JWK. Throws an Error that repeats nothing of the file. */
function parsePublicKey(text: string): KeyObject {
  const trimmed = text.trim()
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(trimmed))
    throw new Error('this is a private key; expected the public one')
  const key = readPublicKey(trimmed)
  const unfit = whyUnfit(key)
  if (unfit !== undefined) throw new Error(`this is ${unfit}`)
  return key
}

function readPublicKey(text: string): KeyObject {
  try {
    return createPublicKey(text.startsWith('{') ? { key: publicJwk(text), format: 'jwk' } : text)
  } catch {
    throw new Error('expected a PEM public key, a PEM certificate or a JWK of a public key')
  }
}

function publicJwk(text: string): JsonWebKey {
  const jwk = JSON.parse(text) as JsonWebKey
  if (jwk.d !== undefined) throw new Error('a private key')
  return jwk
}

function isHmac(algorithm: string): boolean {
  return algorithm.startsWith('HS')
}
