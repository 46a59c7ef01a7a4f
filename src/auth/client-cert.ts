/** The certificate that a client has shown to the listener, which has verified it by its authorities. */

import { RE2JS } from 're2js'
import type { ClientCertAuthConfig, NamePattern } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import type { VerifiedCertificate } from '../request/client-certificate.ts'
import type { RequestFacts } from '../request/facts.ts'
import { clientCertChallenge } from './challenge.ts'
import type { Giver, Grant } from './grant.ts'
import { anonymous, isUserName, type Check, type Identity } from './identity.ts'

/** Refusals: E_AUTH_MISSING, E_AUTH_INVALID, E_CLAIM_DENIED. */
export function createClientCertCheck(config: ClientCertAuthConfig): Check {
  return new ClientCertCheck(config)
}

type Matches = (text: string) => boolean

class ClientCertCheck implements Check {
  readonly name: string
  readonly ownFields: readonly string[] = []
  readonly #config: ClientCertAuthConfig
  readonly #subject: readonly Matches[] | undefined
  readonly #san: readonly Matches[] | undefined

  constructor(config: ClientCertAuthConfig) {
    this.name = config.name
    this.#config = config
    this.#subject = config.subject?.map((pattern) => compile(pattern, ANY_ESCAPED))
    this.#san = config.san?.map((pattern) => compile(pattern, ANY))
  }

  check({ certificate }: RequestFacts): Identity | Refusal {
    const fields = clientCertChallenge()
    if (certificate === undefined) return new Refusal('E_AUTH_MISSING', { fields })
    const invalid = (cause: string): Refusal =>
      new Refusal('E_AUTH_INVALID', { fields, cause: `${this.name}: ${cause}` })
    if ('failure' in certificate) return invalid(certificate.failure)
    // It was in time when the connection began, which may be long ago.
    if (certificate.expiresAtMs <= Date.now()) return invalid('the certificate has expired')
    if (!this.allows(certificate)) {
      const cause = `${this.name}: the certificate of ${certificate.subject} has none of the names`
      return new Refusal('E_CLAIM_DENIED', { cause })
    }
    const user = this.#userOf(certificate)
    if (user !== undefined && !isUserName(user)) return invalid('its name cannot be a user')
    return { ...anonymous, user, grants: [new CertificateGrant(this, user, certificate)] }
  }

  /** Whether its names are those of the config. */
  allows({ subject, altNames }: VerifiedCertificate): boolean {
    if (this.#subject !== undefined && !this.#subject.some((matches) => matches(subject))) {
      return false
    }
    const names = altNames.map(({ type, value }) => `${type}:${value}`)
    return this.#san === undefined || this.#san.some((matches) => names.some(matches))
  }

  renew(grant: Grant): Grant | undefined {
    if (grant.giver === this) return grant
    const isOurs = grant instanceof CertificateGrant && grant.check === this.name
    if (!isOurs || !this.allows(grant.certificate)) return undefined
    return new CertificateGrant(this, grant.user, grant.certificate)
  }

  close(): void {}

  #userOf({ subject, commonName, altNames }: VerifiedCertificate): string | undefined {
    const { user } = this.#config
    if (user === 'subject') return subject === '' ? undefined : subject
    return user === 'san' ? altNames[0]?.value : (commonName ?? altNames[0]?.value)
  }
}

/** It ends with the certificate. */
class CertificateGrant implements Grant {
  readonly giver: Giver
  readonly user: string | undefined
  readonly certificate: VerifiedCertificate

  constructor(giver: Giver, user: string | undefined, certificate: VerifiedCertificate) {
    this.giver = giver
    this.user = user
    this.certificate = certificate
  }

  get check(): string {
    return this.giver.name
  }

  get expiresAtMs(): number {
    return this.certificate.expiresAtMs
  }
}

/** What `*` of a glob stands for. */
const ANY = '.*'

/** The same of a subject, never with half an escape: a comma in a name (`CN=a\,O=b`) is not one between two names. */
const ANY_ESCAPED = String.raw`(?:[^\\]|\\.)*`

/** Of the whole text. */
function compile(pattern: NamePattern, any: string): Matches {
  const regex = pattern.kind === 'regex' ? pattern.regex : globRegex(pattern.glob, any)
  const compiled = RE2JS.compile(regex, RE2JS.DOTALL)
  return (text) => compiled.matches(text)
}

function globRegex(glob: string, any: string): string {
  return glob
    .split('*')
    .map((part) => RE2JS.quote(part))
    .join(any)
}
