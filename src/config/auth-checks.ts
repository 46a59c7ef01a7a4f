/** The rules of `auth` that go beyond one key: which kind of key a token is checked with, and how; what has no effect. */

import { isHmac } from './auth-schema.ts'
import type { AuthEntry, JwtEntry } from './auth-schema.ts'
import { isOwnedField } from './fields.ts'
import type { Part } from './parts.ts'
import type { Finding } from './problem.ts'

/** Shorter secrets can be found by trying. */
const secretBytesMin = 16

/** RFC 7518 3.2: the key of HS256 is at least as long as its hash. */
const secretBytesRecommended = 32

export function authFindings(entries: readonly Part<AuthEntry>[]): {
  findings: Finding[]
  warnings: Finding[]
} {
  const findings: Finding[] = []
  const warnings: Finding[] = []
  for (const { path, value, isWhole } of entries) {
    if (value.type === 'jwt') {
      const part = { path, value, isWhole }
      findings.push(...keyFindings(part), ...algorithmFindings(part))
      warnings.push(...secretWarnings(part))
    }
    if (value.type === 'forward') {
      if (value.onRecheckError === 'close' && value.recheck === Infinity) {
        const text = 'has no effect: recheck is off'
        warnings.push({ path: [...path, 'onRecheckError'], text })
      }
      for (const [index, name] of value.copy.entries()) {
        if (isOwnedField(name)) {
          findings.push({
            path: [...path, 'copy', index],
            text: 'the gateway makes this field itself; it cannot be copied',
          })
        }
      }
    }
  }
  return { findings, warnings }
}

function keyKinds(value: JwtEntry): ('jwks' | 'secret' | 'publicKey')[] {
  return (['jwks', 'secret', 'publicKey'] as const).filter((key) => value[key] !== undefined)
}

function keyFindings({ path, value, isWhole }: Part<JwtEntry>): Finding[] {
  const [first, second] = keyKinds(value)
  if (first === undefined) {
    return isWhole ? [{ path, text: 'expected one of jwks, secret and publicKey' }] : []
  }
  const findings: Finding[] = []
  if (second !== undefined) {
    const text = `expected only one of jwks, secret and publicKey; there is ${first} too`
    findings.push({ path: [...path, second], text, atKey: true })
  }
  if (value.secret !== undefined && Buffer.byteLength(value.secret) < secretBytesMin) {
    const text = `too short to be safe: at least ${secretBytesMin} bytes, better ${secretBytesRecommended}`
    findings.push({ path: [...path, 'secret'], text })
  }
  return findings
}

function secretWarnings({ path, value }: Part<JwtEntry>): Finding[] {
  const bytes = value.secret === undefined ? Infinity : Buffer.byteLength(value.secret)
  if (bytes >= secretBytesRecommended) return []
  const text = `shorter than the ${secretBytesRecommended} bytes that RFC 7518 asks for`
  return [{ path: [...path, 'secret'], text }]
}

function algorithmFindings({ path, value }: Part<JwtEntry>): Finding[] {
  if (keyKinds(value).length === 0) return []
  const hasSecret = value.secret !== undefined
  return (value.algorithms ?? []).flatMap((algorithm, index) => {
    if (isHmac(algorithm) === hasSecret) return []
    const text = hasSecret
      ? `${algorithm} needs a public key, and this check has a secret; use HS256, HS384 or HS512`
      : `${algorithm} would take the public key for a secret, which everyone knows; use RS256, PS256, ES256 or EdDSA`
    return [{ path: [...path, 'algorithms', index], text }]
  })
}
