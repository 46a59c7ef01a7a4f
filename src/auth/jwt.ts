/** A signed token (RFC 7519): where it comes from, whether its signature and times hold, and what its claims allow. */

import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import type { JwtAuthConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { bearerChallenge } from './challenge.ts'
import { messageOf } from './error-message.ts'
import type { Grant } from './grant.ts'
import { anonymous, isUserName, type Check, type Hidden, type Identity } from './identity.ts'
import { KeysUnavailable } from './jwks.ts'
import { openKeySource, type KeySource, type KeySourceOptions } from './jwt-key.ts'
import { TokenReader } from './token.ts'

/** Keys of a set that are tried for a token that names none, or one that several have. */
const CANDIDATES_MAX = 8

/**
 * Rejects when a key file cannot be read. Refusals: E_AUTH_MISSING, E_AUTH_INVALID, E_CLAIM_DENIED, and, when the keys
 * cannot be fetched, E_AUTH_UNAVAILABLE or E_AUTH_TIMEOUT.
 */
export async function createJwtCheck(
  config: JwtAuthConfig,
  options: KeySourceOptions,
): Promise<Check> {
  return new JwtCheck(config, await openKeySource(config, options))
}

class JwtCheck implements Check {
  readonly name: string
  readonly ownFields: readonly string[] = []
  readonly #config: JwtAuthConfig
  readonly #keys: KeySource
  readonly #tokens: TokenReader
  readonly #options: JWTVerifyOptions
  readonly #missing: Refusal

  constructor(config: JwtAuthConfig, keys: KeySource) {
    this.name = config.name
    this.#config = config
    this.#keys = keys
    this.#tokens = new TokenReader(config.from)
    this.#options = {
      algorithms: [...keys.algorithms],
      clockTolerance: config.clockToleranceMs / 1000,
      ...(config.issuer === undefined ? {} : { issuer: [...config.issuer] }),
      ...(config.audience === undefined ? {} : { audience: [...config.audience] }),
    }
    this.#missing = new Refusal('E_AUTH_MISSING', { fields: bearerChallenge(config.realm) })
  }

  check(facts: RequestFacts): Identity | Refusal | Promise<Identity | Refusal> {
    const { token, wrong, hidden } = this.#tokens.read(facts)
    if (wrong !== undefined) return this.#invalid(wrong)
    if (token === undefined) return this.#missing
    return this.#decide(token, hidden)
  }

  hidden(facts: RequestFacts): Hidden {
    return this.#tokens.hidden(facts)
  }

  renew(grant: Grant): Grant | undefined {
    return grant.giver === this ? grant : undefined
  }

  close(): void {
    this.#keys.close()
  }

  async #decide(token: string, hidden: Hidden): Promise<Identity | Refusal> {
    const payload = await this.#verify(token)
    if (payload instanceof Refusal) return payload
    for (const [claim, accepted] of this.#config.claims) {
      if (!hasOneOf(payload, claim, accepted)) return this.#denied(claim)
    }
    const user = this.#userOf(payload)
    if (user instanceof Refusal) return user
    const grant: Grant = {
      check: this.name,
      giver: this,
      user,
      expiresAtMs: this.#endOf(payload),
    }
    return { ...anonymous, ...hidden, user, grants: [grant] }
  }

  #endOf({ exp }: JWTPayload): number | undefined {
    const { closeOnExpiry, clockToleranceMs } = this.#config
    return exp === undefined || !closeOnExpiry ? undefined : exp * 1000 + clockToleranceMs
  }

  async #verify(token: string): Promise<JWTPayload | Refusal> {
    try {
      return (await jwtVerify(token, this.#keys.find, this.#options)).payload
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys)
        return this.#verifyWithEach(token, error)
      return this.#failure(error)
    }
  }

  /** A token may be signed by any key of its kind that has its key id, or by any at all where it has none. */
  async #verifyWithEach(
    token: string,
    candidates: errors.JWKSMultipleMatchingKeys,
  ): Promise<JWTPayload | Refusal> {
    let tried = 0
    for await (const key of candidates) {
      tried += 1
      if (tried > CANDIDATES_MAX) break
      try {
        return (await jwtVerify(token, key, this.#options)).payload
      } catch (error) {
        // jose throws a TypeError for a key that does not go with the algorithm after all.
        const isKeys =
          error instanceof errors.JWSSignatureVerificationFailed || error instanceof TypeError
        if (!isKeys) return this.#failure(error)
      }
    }
    return this.#invalid('no key of the set fits the signature')
  }

  /** Whatever else goes wrong inside the verification is the token's fault: a wrong type of key, a broken encoding. */
  #failure(error: unknown): Refusal {
    if (error instanceof KeysUnavailable) return error.refusal
    return this.#invalid(messageOf(error))
  }

  #invalid(what: string): Refusal {
    return new Refusal('E_AUTH_INVALID', {
      fields: bearerChallenge(this.#config.realm, 'invalid_token'),
      cause: `${this.name}: ${what}`,
    })
  }

  #denied(claim: string): Refusal {
    return new Refusal('E_CLAIM_DENIED', {
      fields: bearerChallenge(this.#config.realm, 'insufficient_scope'),
      cause: `${this.name}: the claim ${claim} has none of the accepted values`,
    })
  }

  #userOf(payload: JWTPayload): string | undefined | Refusal {
    const { userClaim } = this.#config
    const value = Object.hasOwn(payload, userClaim) ? payload[userClaim] : undefined
    if (value === undefined || value === null) return undefined
    const user = typeof value === 'number' ? String(value) : value
    if (typeof user === 'string' && isUserName(user)) return user
    return this.#invalid(`the claim ${userClaim} cannot be a user's name`)
  }
}

function hasOneOf(
  payload: JWTPayload,
  claim: string,
  accepted: readonly (string | number | boolean)[],
): boolean {
  // A claim named like a method of every object must not be found where the token has none.
  if (!Object.hasOwn(payload, claim)) return false
  const value = payload[claim]
  const held: readonly unknown[] = Array.isArray(value) ? value : [value]
  return accepted.some((wanted) => held.includes(wanted))
}
