/** nginx with one worker, an access log and the usual WebSocket location. */
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { withoutHttp2 } from './absence.ts'
import { versionOf } from './version.ts'

const command = '/usr/sbin/nginx'

export const nginx: Peer = {
  name: 'nginx',
  about:
    'one worker; access log to a file (combined, a line at the close); keep-alive to the upstream',
  absences: withoutHttp2,
  version: () => versionOf(command, ['-v']),
  plan: (place) => ({
    command,
    args: ['-p', place.directory, '-c', join(place.directory, 'nginx.conf'), '-e', 'stderr'],
    files: { 'nginx.conf': configuration(place) },
  }),
}

function configuration({ port, upstreamPort, tls }: Place): string {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
events { worker_connections 20000; }
http {
  access_log access.log combined;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 1000000;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
${tls === undefined ? '' : tlsListen(tls)}    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 10m;
    }
  }
}
`
}

function tlsListen(tls: NonNullable<Place['tls']>): string {
  return `    listen 127.0.0.1:${tls.port} backlog=4096 ssl;
    ssl_certificate ${tls.certificateFile};
    ssl_certificate_key ${tls.keyFile};
    ssl_protocols TLSv1.3;
`
}
