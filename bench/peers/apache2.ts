/** Apache with the event MPM and one child process. It needs a thread for each tunnel, so it has many. */
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { versionOf } from './version.ts'

const command = '/usr/sbin/apache2'
const modules = '/usr/lib/apache2/modules'

/** For 50 connections at once and those that are about to end. */
const threads = 128

export const apache2: Peer = {
  name: 'apache2',
  about: `mpm_event with one child process of ${threads} threads (a tunnel holds one); mod_proxy_http with upgrade=websocket, mod_http2 with H2WebSockets; access log to a file (combined, a line at the close); keep-alive to the upstream`,
  absences: {
    idle: 'would need 5,000 threads',
    'idle-h2': 'would need 5,000 threads',
    'echo64-many': 'would need 9,000 threads',
  },
  version: () => versionOf(command, ['-v']),
  plan: (place) => ({
    command,
    args: ['-D', 'FOREGROUND', '-f', join(place.directory, 'apache2.conf')],
    files: { 'apache2.conf': configuration(place) },
  }),
}

function configuration({ port, http2Port, upstreamPort, directory, tls }: Place): string {
  const loaded = [
    'mpm_event',
    'authz_core',
    'proxy',
    'proxy_http',
    'http2',
    ...(tls ? ['ssl'] : []),
  ]
  const lines = loaded.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`)
  return `ServerRoot ${directory}
ServerName chat.example.com
${lines.join('\n')}
PidFile ${directory}/pid
DefaultRuntimeDir ${directory}
User www-data
Group www-data
ServerLimit 1
StartServers 1
ThreadLimit ${threads}
ThreadsPerChild ${threads}
MaxRequestWorkers ${threads}
MaxSpareThreads ${threads}
ListenBacklog 4096
Listen 127.0.0.1:${port}
Listen 127.0.0.1:${http2Port}
H2WebSockets on
H2MaxWorkers ${threads}
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog ${directory}/access.log combined
ErrorLog ${directory}/stderr
ProxyPreserveHost On
ProxyTimeout 600
ProxyPass / http://127.0.0.1:${upstreamPort}/ upgrade=websocket
<VirtualHost 127.0.0.1:${http2Port}>
  Protocols h2c
</VirtualHost>
${tls === undefined ? '' : tlsHost(tls)}`
}

function tlsHost(tls: NonNullable<Place['tls']>): string {
  return `Listen 127.0.0.1:${tls.port}
<VirtualHost 127.0.0.1:${tls.port}>
  SSLEngine On
  SSLProtocol TLSv1.3
  SSLCertificateFile ${tls.certificateFile}
  SSLCertificateKeyFile ${tls.keyFile}
</VirtualHost>
`
}
