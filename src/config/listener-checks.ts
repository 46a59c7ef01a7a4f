/** The rules of `listeners` that go beyond one key. */

import { createSecureContext } from 'node:tls'

import type { Listener, ListenerTls } from './listener-schema.ts'
import type { Part } from './parts.ts'
import type { Finding, Path } from './problem.ts'

export function listenerFindings({ path, value }: Part<Listener>): Finding[] {
  return value.tls === undefined ? [] : cipherFindings([...path, 'tls'], value.tls)
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
