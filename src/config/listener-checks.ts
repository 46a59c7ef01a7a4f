/** The rules of `listeners` that go beyond one key. */

import { createSecureContext } from 'node:tls'

import type { Listener, ListenerTls } from './listener-schema.ts'
import type { Part, Parts } from './parts.ts'
import type { Finding, Path } from './problem.ts'

export function listenerFindings({ path, value }: Part<Listener>): Finding[] {
  if (value.tls !== undefined && value.redirect !== undefined) {
    const text = 'is for a listener without tls: its clients speak https already'
    return [{ path: [...path, 'redirect'], text }]
  }
  return value.tls === undefined ? [] : cipherFindings([...path, 'tls'], value.tls)
}

/** Certificates that nobody asks clients for. */
export function clientCertFindings({ listeners, auth }: Parts): Finding[] {
  if (listeners.some(({ value, isWhole }) => !isWhole || value.tls?.clientCa !== undefined))
    return []
  return auth
    .filter(({ value }) => value.type === 'clientCert')
    .map(({ path }) => ({
      path: [...path, 'type'],
      text: 'no listener asks clients for certificates: give one tls.clientCa',
    }))
}

function cipherFindings(path: Path, { ciphers, minVersion }: ListenerTls): Finding[] {
  if (ciphers === undefined) return []
  try {
    createSecureContext({ ciphers, minVersion })
    return []
  } catch {
    return [{ path: [...path, 'ciphers'], text: 'OpenSSL knows no cipher by this list' }]
  }
}
