/** Caddy with one processor to run on, which is Go's nearest to one worker, and an access log. */
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { withoutHttp2 } from './absence.ts'
import { versionOf } from './version.ts'

const command = '/usr/bin/caddy'

export const caddy: Peer = {
  name: 'caddy',
  about:
    'GOMAXPROCS=1; reverse_proxy; admin off; access log to a file (JSON, a line at the close); keep-alive to the upstream',
  absences: withoutHttp2,
  version: () => versionOf(command, ['version']),
  plan: (place) => ({
    command,
    args: ['run', '--config', join(place.directory, 'Caddyfile'), '--adapter', 'caddyfile'],
    files: { Caddyfile: configuration(place) },
    // The configuration that Caddy keeps for its next start goes to the directory too, once, at the start.
    environment: {
      GOMAXPROCS: '1',
      HOME: place.directory,
      XDG_CONFIG_HOME: place.directory,
      XDG_DATA_HOME: place.directory,
    },
  }),
}

function configuration({ port, upstreamPort, directory, tls }: Place): string {
  return `{
  admin off
  auto_https off
  servers {
    protocols h1
  }
}
(gateway) {
  bind 127.0.0.1
  log {
    output file ${directory}/access.log
  }
  reverse_proxy 127.0.0.1:${upstreamPort}
}
http://:${port} {
  import gateway
}
${tls === undefined ? '' : tlsSite(tls)}`
}

function tlsSite(tls: NonNullable<Place['tls']>): string {
  return `https://chat.example.com:${tls.port} {
  import gateway
  tls ${tls.certificateFile} ${tls.keyFile} {
    protocols tls1.3
  }
}
`
}
