/** This gateway as it is built into dist, with the smallest configuration: logs and metrics are on, as shipped. */
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { versionOf } from './version.ts'

const main = join(import.meta.dirname, '../../dist/main.js')

const program = {
  version: () => versionOf(process.execPath, [main, '--version']),
}

export const upgate: Peer = {
  ...program,
  name: 'upgate',
  about:
    'dist/main.js; one route; relay.threads: 1; logs to a file (a line at the open and at the close of a tunnel, a line for a request), metrics on; MALLOC_ARENA_MAX=1, as in the image',
  plan: (place) => planFor(place, 'threads: 1'),
}

export const upgateTwoThreads: Peer = {
  ...program,
  name: 'upgate-2threads',
  variantOf: 'upgate',
  about: 'as upgate, but with relay.threads: 2',
  plan: (place) => planFor(place, 'threads: 2'),
}

export const upgateWithoutFrames: Peer = {
  ...program,
  name: 'upgate-noframes',
  variantOf: 'upgate',
  about: 'as upgate, but with relay.frames: off',
  plan: (place) => planFor(place, 'threads: 1, frames: off'),
}

function planFor(place: Place, relay: string) {
  const { port, sparePort, http2Port, upstreamPort, directory, tls } = place
  const tlsListener =
    tls === undefined
      ? ''
      : `  - address: '127.0.0.1:${tls.port}'
    tls: { cert: '${tls.certificateFile}', key: '${tls.keyFile}' }
`
  return {
    command: process.execPath,
    args: [main, '-c', join(directory, 'upgate.yaml')],
    // As in the image and by `npm start`.
    environment: { MALLOC_ARENA_MAX: '1' },
    files: {
      // Listeners are bound in this order, and it is the last that the runner waits for.
      'upgate.yaml': `listeners:
${tlsListener}  - address: '127.0.0.1:${http2Port}'
    h2c: true
  - address: '127.0.0.1:${port}'
admin: { address: '127.0.0.1:${sparePort}' }
relay: { ${relay} }
routes: [{ upstream: 'http://127.0.0.1:${upstreamPort}' }]
`,
    },
  }
}
