/** The TLS of a listener as a config has it that says nothing but its certificates. */

import { join } from 'node:path'
import type { ListenerTlsConfig } from '../../src/config/config.ts'

const fixtures = join(import.meta.dirname, '../fixtures')

export function tlsConfig(changes: Partial<ListenerTlsConfig>): ListenerTlsConfig {
  return {
    cert: undefined,
    key: undefined,
    certificates: [],
    unknownNames: 'default',
    minVersion: 'TLSv1.2',
    ciphers: undefined,
    handshakeTimeoutMs: 60_000,
    http2: false,
    handshakesMax: 1000,
    clientCa: undefined,
    clientCert: undefined,
    crl: undefined,
    ...changes,
  }
}

/** The pair of a folder of fixtures: `tls` is for localhost, `config/tls` for chat.example.com. */
export function filesIn(folder: string): { readonly cert: string; readonly key: string } {
  return { cert: join(fixtures, folder, 'cert.pem'), key: join(fixtures, folder, 'key.pem') }
}
