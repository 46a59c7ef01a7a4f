/** What people write by hand: a few lines around http-proxy-3, without logs, metrics or limits. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { withoutHttp2 } from './absence.ts'

const gateway = join(import.meta.dirname, 'http-proxy-3.mjs')
const manifest = join(import.meta.dirname, '../../node_modules/http-proxy-3/package.json')

export const httpProxy3: Peer = {
  name: 'http-proxy-3',
  about: 'bench/peers/http-proxy-3.mjs; no logs, no metrics; keep-alive to the upstream',
  absences: withoutHttp2,
  version: () => (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version,
  plan: ({ port, upstreamPort, tls }) => ({
    command: process.execPath,
    args: [
      gateway,
      String(port),
      String(upstreamPort),
      ...(tls === undefined ? [] : [String(tls.port), tls.certificateFile, tls.keyFile]),
    ],
    files: {},
  }),
}
