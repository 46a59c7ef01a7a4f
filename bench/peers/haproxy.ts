/** HAProxy with one thread and an HTTP log. */
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { versionOf } from './version.ts'

const command = '/usr/sbin/haproxy'

export const haproxy: Peer = {
  name: 'haproxy',
  about: 'one thread; httplog to a file (a line at the close); keep-alive to the upstream',
  version: () => versionOf(command, ['-v']),
  plan: (place) => ({
    command,
    args: ['-db', '-f', join(place.directory, 'haproxy.cfg')],
    files: { 'haproxy.cfg': configuration(place) },
  }),
}

function configuration({ port, http2Port, upstreamPort, tls }: Place): string {
  const tlsBind =
    tls === undefined
      ? ''
      : `  bind 127.0.0.1:${tls.port} backlog 4096 ssl crt ${tls.bothFile} ssl-min-ver TLSv1.3\n`
  return `global
  nbthread 1
  maxconn 9500
  log stdout format raw daemon info
defaults
  mode http
  log global
  option httplog
  option forwardfor
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  timeout tunnel 10m
frontend in
  bind 127.0.0.1:${port} backlog 4096
  bind 127.0.0.1:${http2Port} backlog 4096 proto h2
${tlsBind}  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  default_backend app
backend app
  server app 127.0.0.1:${upstreamPort}
`
}
