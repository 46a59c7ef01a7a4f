/** This gateway as it is built into dist, with the smallest configuration: logs and metrics are on, as shipped. */
import { join } from 'node:path'
import type { Peer } from '../peers.ts'
import { versionOf } from './version.ts'

/** As the program's first line, `npm start` and the image start it. */
const flags = ['--max-semi-space-size=8']

const main = join(import.meta.dirname, '../../dist/main.js')

export const upgate: Peer = {
  name: 'upgate',
  about:
    'dist/main.js; one route; logs to a file (a line at the open and at the close of a tunnel, a line for a request), metrics on; a young generation of at most 8 MiB (--max-semi-space-size=8), as shipped: any Node program holds less idle memory with that flag, http-proxy-3 too',
  version: () => versionOf(process.execPath, [main, '--version']),
  plan: ({ port, sparePort, upstreamPort, directory }) => ({
    command: process.execPath,
    args: [...flags, main, '-c', join(directory, 'upgate.yaml')],
    files: {
      'upgate.yaml': `listeners: [{ address: '127.0.0.1:${port}' }]
admin: { address: '127.0.0.1:${sparePort}' }
routes: [{ upstream: 'http://127.0.0.1:${upstreamPort}' }]
`,
    },
  }),
}
