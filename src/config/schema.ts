/**
 * Every key of the configuration once, with its default, its bounds and a line about it. The types, the JSON Schema,
 * the table in the README and the example file's test all come from here.
 */

import { z } from 'zod'

import { authEntry } from './auth-schema.ts'
import { certificateFiles, listener, socketFile } from './listener-schema.ts'
import { address, localAddress, serverName, trustedBlock } from './network.ts'
import { endpoint, route, routeSettings } from './route-schema.ts'
import {
  choice,
  count,
  duration,
  file,
  flag,
  list,
  name,
  oneOrMore,
  percentage,
  size,
  word,
} from './scalars.ts'
import { key, optional, required, section } from './section.ts'

const adminSection = section({
  address: key(
    address(),
    '127.0.0.1:9090',
    'Where /metrics, /healthz, /readyz and the API are served.',
  ),
  ...socketFile,
  token: optional(
    // RFC 6750 2.1: what can stand behind Bearer.
    word(
      /^(?=.{16})[A-Za-z0-9._~+/-]+=*$/,
      'expected a token of at least 16 letters, digits and -._~+/',
    ).meta({ title: 'token' }),
    'Bearer token asked for by all but /healthz and /readyz, better ${FROM_ENV}. Without it the API is for this machine alone.',
  ),
  tls: optional(section(certificateFiles), 'Serves HTTPS; plain HTTP if left out.'),
  hosts: key(
    list(serverName(), 'a list of host names, such as [ops.example.com]'),
    [],
    'Names under which the API and /metrics may be called, besides IP addresses and localhost.',
  ),
})

const admin = z.union([choice(['off']), adminSection], {
  error: 'expected off, or a map with keys of address, mode, owner, token, tls, hosts',
})

const hashKeyMessage = 'expected client, path, header:NAME or cookie:NAME'

const hashKey = word(
  /^(?:client|path|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/,
  hashKeyMessage,
)

export const upstream = section({
  endpoints: required(
    list(endpoint, 'a list of URLs, such as [http://chat-1:3000]', 1),
    'URLs, or maps of url, weight and http2.',
  ),
  balance: key(
    z.union(
      [
        choice(['least-tunnels', 'round-robin', 'random-two', 'hash']),
        section({
          hash: required(
            hashKey,
            'What picks the endpoint: client, path, header:NAME or cookie:NAME.',
          ),
        }),
      ],
      {
        error:
          'expected least-tunnels, round-robin, random-two, hash or { hash: client | path | header:NAME | cookie:NAME }',
      },
    ),
    'least-tunnels',
    'least-tunnels, round-robin, random-two, hash (by client), or { hash: ... }.',
  ),
  health: key(
    section({
      setAside: key(
        duration({ zero: true }),
        '1s',
        'How long an endpoint that failed gets nothing; doubled at each further failure.',
      ),
      setAsideMax: key(duration({ zero: true }), '10s', 'The longest time it is set aside.'),
      whenAllDown: key(
        choice(['try', 'refuse']),
        'try',
        'When all endpoints are set aside: the one whose turn comes next is tried anyway, or requests are refused: 503.',
      ),
    }),
    {},
    'What happens to an endpoint that fails.',
  ),
  tls: key(
    section({
      ca: optional(file(), "PEM file of the authorities to trust, in place of Node's."),
      serverName: optional(
        serverName(),
        "Expected name of the certificate, if not the URL's host.",
      ),
      cert: optional(
        file(),
        'PEM file: the certificate for endpoints that ask for one, then those of its issuers.',
      ),
      key: optional(file(), 'PEM file: the private key of the certificate.'),
      minVersion: key(
        choice(['TLSv1.2', 'TLSv1.3']),
        'TLSv1.2',
        'The least version; endpoints with older ones are refused.',
      ),
      insecure: key(
        flag(),
        false,
        'Takes any certificate: whoever sits in between can read and change everything. Warned of at each start and reload.',
      ),
    }),
    {},
    'For https endpoints.',
  ),
  rebalance: key(
    z.union(
      [
        choice(['off']),
        section({
          rate: key(count(1, 10_000), 5, 'Tunnels closed a second at most.'),
          spread: key(
            percentage(),
            '10%',
            'How far an endpoint may be above the mean before its tunnels are closed.',
          ),
        }),
      ],
      { error: 'expected off, or a map with keys of rate, spread' },
    ),
    'off',
    'Closes tunnels of the fullest endpoints until all have their share; their clients come back to others.',
  ),
  proxyProtocol: key(
    choice(['off', 'v1', 'v2']),
    'off',
    'Connections to the endpoints begin with a PROXY header of this version, and serve one client each.',
  ),
  localAddress: optional(
    oneOrMore(localAddress(), 'an IP address of this machine, or a list of them'),
    "IP addresses of this machine that connections to the endpoints come from, in turn: each has ports of its own. The kernel's choice if left out.",
  ),
  http2Streams: key(
    count(1, 1000),
    100,
    'Of endpoints with http2: tunnels and requests at once over one connection, if the endpoint takes as many. More open another one.',
  ),
})

export const configSchema = section({
  listeners: key(
    list(listener, 'a list of listeners, such as [{ address: 0.0.0.0:8080 }]', 1),
    [{}],
    'Where clients connect.',
  ),
  admin: key(admin, {}, 'Where operators connect, or off.'),
  log: key(
    section({
      level: key(
        choice(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
        'info',
        'The least level that is logged.',
      ),
      format: key(
        choice(['json', 'pretty']),
        'json',
        'One JSON object a line, or text for people.',
      ),
    }),
    {},
    'The log, on standard output.',
  ),
  trustedProxies: key(
    list(trustedBlock(), 'a list of addresses and blocks, such as [10.0.0.0/8]'),
    [],
    'Whose X-Forwarded-* or Forwarded, X-Request-Id and stripped handshakes count; unix for peers on unix sockets.',
  ),
  forwarded: key(
    z.union(
      [
        choice(['off']),
        section({
          read: key(
            choice(['x-forwarded', 'forwarded']),
            'x-forwarded',
            'What trusted proxies tell of clients by: X-Forwarded-*, or Forwarded (RFC 7239). The other one is removed.',
          ),
          write: key(
            choice(['x-forwarded', 'forwarded', 'both']),
            'x-forwarded',
            'What upstreams are told by.',
          ),
        }),
      ],
      { error: 'expected off, or a map with keys of read, write' },
    ),
    'off',
    'X-Forwarded-* or Forwarded, so that no upstream gets two stories. off: X-Forwarded-* is read and written, and Forwarded removed.',
  ),
  via: key(
    choice(['on', 'off']),
    'on',
    'Adds the gateway to Via of requests, by a name that it makes at each start, and answers 508 to those that come back with it. With Via nginx compresses only where gzip_proxied says so.',
  ),
  shutdown: key(
    section({
      drain: key(
        duration({ zero: true }),
        '8s',
        'How long it may take after SIGTERM until all tunnels are closed.',
      ),
      spread: key(
        flag(),
        true,
        'Tunnels are closed evenly over that time, in random order; false closes what is left at its end.',
      ),
    }),
    {},
    'How the gateway ends.',
  ),
  reload: key(
    section({
      watch: key(flag(), false, 'Reads this file again when it changes, as on SIGHUP.'),
    }),
    {},
    'When the config is read again.',
  ),
  relay: key(
    section({
      engine: key(
        choice(['auto', 'native', 'portable']),
        'auto',
        'What moves the bytes of plain tunnels: the native relay (Linux) or the portable one; auto is the native one where it is built.',
      ),
      threads: optional(
        count(1, 64),
        'Threads of the native relay; as many as there are cores if left out.',
      ),
      bufferBytes: key(
        size(4096, 16 * 1024 ** 2),
        '256KiB',
        'The most that is held for a peer that does not read, each way; then the other one is stalled.',
      ),
      frames: key(
        choice(['on', 'off']),
        'on',
        'Follows the frames of WebSocket tunnels: counts them, closes with a code, pings. off: bytes alone.',
      ),
    }),
    {},
    'How bytes flow in a tunnel.',
  ),
  defaults: key(routeSettings, {}, 'Settings for all routes; a route overrides them.'),
  upstreams: key(
    z.record(name(), upstream, { error: 'expected a map from names to upstreams' }),
    {},
    'Where requests go, by name.',
  ),
  auth: key(
    z.record(name(), authEntry, { error: 'expected a map from names to checks' }),
    {},
    'Checks of credentials, by name.',
  ),
  routes: required(
    list(route, 'a list of routes, such as [{ upstream: "http://localhost:3000" }]', 1),
    'What is served; the first route that matches wins.',
  ),
})

/** The file as written, before defaults. */
export type ConfigInput = z.input<typeof configSchema>
export type ConfigOutput = z.output<typeof configSchema>
export type Admin = z.output<typeof admin>
export type Upstream = z.output<typeof upstream>
