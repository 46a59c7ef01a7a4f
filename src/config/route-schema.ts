/** The entries of `routes`, and `defaults`, as the file has them. */

import { z } from 'zod'

import { close, keepalive } from './close-schema.ts'
import { fieldName, fieldValue, upgradeToken } from './fields.ts'
import { match, path } from './match-schema.ts'
import {
  addressBlock,
  endpointForms,
  endpointUrl,
  looksLikeUrl,
  origin,
  parseEndpoint,
} from './network.ts'
import type { EndpointUrl } from './network.ts'
import type { Path } from './problem.ts'
import {
  choice,
  count,
  duration,
  fail,
  flag,
  limit,
  list,
  name,
  nameMessage,
  namePattern,
  text,
} from './scalars.ts'
import { key, optional, required, section } from './section.ts'

/** An endpoint in a list: a URL, or a URL with what is to be said of it. */
export const endpoint = z
  .union(
    [
      endpointUrl(),
      section({
        url: required(endpointUrl(), `Where it is: ${endpointForms}.`),
        weight: key(count(1, 1000), 1, 'Its share of tunnels, against those of the others.'),
        http2: key(
          flag(),
          false,
          'It is spoken to by HTTP/2, over connections that all share: WebSockets by extended CONNECT (RFC 8441), and plain requests.',
        ),
      }),
    ],
    { error: `expected a URL (${endpointForms}), or a map with url, weight and http2` },
  )
  .transform((value) =>
    'address' in value
      ? { ...value, weight: 1, http2: false }
      : { ...value.url, weight: value.weight, http2: value.http2 },
  )

const anyGroup = section({
  any: required(
    list(name(), 'a list of names from auth', 1),
    'Names from auth: one of them must pass.',
  ),
})

const authMessage =
  'expected a list of names from auth, such as [people], or { any: [staff, people] } for one of them'

/** A check that a route asks for, and where below `auth` it is written. */
export interface AuthName {
  readonly name: string
  readonly at: Path
}

/** Groups: all have to pass, and a group passes when one of its checks does. */
const authGroups = z
  .union(
    [
      list(z.union([name(), anyGroup], { error: authMessage }), 'a list of names from auth'),
      anyGroup,
    ],
    { error: authMessage },
  )
  .transform((value): AuthName[][] =>
    Array.isArray(value)
      ? value.map((item, index) =>
          typeof item === 'string' ? [{ name: item, at: [index] }] : namesIn(item.any, [index]),
        )
      : [namesIn(value.any, [])],
  )

function namesIn(names: readonly string[], at: Path): AuthName[] {
  return names.map((each, index) => ({ name: each, at: [...at, 'any', index] }))
}

const fieldEdits = section({
  set: key(
    z.record(fieldName(), fieldValue(), {
      error: 'expected a map from header fields to their values',
    }),
    {},
    'Fields to set, in place of what was there.',
  ),
  remove: key(list(fieldName(), 'a list of header fields'), [], 'Fields to remove.'),
})

/** What a route may set, and `defaults` for all of them. */
const settings = {
  upgrade: key(
    z.union([choice(['any']), list(upgradeToken(), 'a list of tokens')], {
      error: 'expected a list of tokens such as [websocket], [] for none, or any',
    }),
    ['websocket'],
    'Upgrade tokens allowed; [] for none, any for all but h2c, TLS and other HTTP. Others are treated as plain HTTP.',
  ),
  http: key(flag(), true, 'Whether plain requests are forwarded too; false answers them 426.'),
  auth: key(authGroups, [], 'Names from auth: all must pass; { any: [a, b] } for one of them.'),
  origins: key(
    z.union([choice(['off']), list(origin(), 'a list of origins', 1)], {
      error: 'expected a list of origins such as [https://app.example.com], or off',
    }),
    'off',
    'Origins that may upgrade: 403 for another or none. off: no check.',
  ),
  allow: key(
    z.union([choice(['off']), list(addressBlock(), 'a list of addresses', 1)], {
      error: 'expected a list of addresses and blocks such as [10.0.0.0/8], or off',
    }),
    'off',
    'Client addresses let in: 403 for others. off: no check.',
  ),
  limits: key(
    section({
      tunnels: key(limit(), 'off', 'Tunnels open at once on this route: 503 above it.'),
      tunnelsPerClient: key(limit(), 'off', 'Tunnels open at once for one client: 429 above it.'),
      handshakesPerSecond: key(limit(), 'off', 'Upgrades of one client in a second: 429 above it.'),
      requestsPerSecond: key(
        limit(),
        'off',
        'Plain requests of one client in a second: 429 above it.',
      ),
    }),
    {},
    'Limits of the route; those in defaults count for each route by itself.',
  ),
  timeouts: key(
    section({
      connect: key(duration(), '5s', 'TCP and TLS to an endpoint: 504 after it.'),
      handshake: key(
        duration({ off: true }),
        '30s',
        'Of an upgrade, from the forwarded request to the head of the answer: 504 after it.',
      ),
      response: key(
        duration({ off: true }),
        '2m',
        'Of a plain request, from its end to the head of the answer: 504 after it.',
      ),
      body: key(
        duration({ off: true }),
        '1m',
        'A client that is silent in the middle of its request: 408 after it.',
      ),
      idle: key(duration({ off: true }), '10m', 'A tunnel without a byte in either direction.'),
      lifetime: key(duration({ off: true }), 'off', 'The longest time a tunnel may be open.'),
    }),
    {},
    'Time limits of the route.',
  ),
  keepalive: key(
    keepalive,
    'off',
    'Finds dead peers: pings of WebSocket, and TCP keepalive for other protocols.',
  ),
  close: key(close, {}, 'How the gateway closes tunnels; a code, or code, text and retryAfter.'),
  onReload: key(
    choice(['close', 'keep']),
    'close',
    'What becomes of tunnels whose route, endpoint or credentials a new config has no more.',
  ),
  rewrite: key(
    section({
      stripPrefix: optional(path, 'Removed from the front of the path.'),
      addPrefix: optional(path, 'Put in front of the path, after stripPrefix.'),
    }),
    {},
    'Changes of the path on its way to the upstream.',
  ),
  headers: key(
    section({
      request: key(fieldEdits, {}, 'Edits of requests on their way to the upstream.'),
      response: key(fieldEdits, {}, 'Edits of answers on their way to the client.'),
    }),
    {},
    'Edits of header fields.',
  ),
}

/** `defaults`: any setting of a route. */
export const routeSettings = section(settings)

export interface UpstreamName {
  readonly name: string
}

const upstreamMessage = `expected a name from upstreams, a URL (${endpointForms}), or a list of URLs`

const upstreamReference = z.union(
  [
    text('a name from upstreams or a URL')
      .transform((value, context): UpstreamName | EndpointUrl => {
        if (namePattern.test(value)) return { name: value }
        const parsed = looksLikeUrl(value) ? parseEndpoint(value) : nameMessage
        return typeof parsed === 'string' ? fail(context, parsed) : parsed
      })
      .meta({ title: 'name or URL' }),
    list(endpoint, 'a list of URLs', 1),
  ],
  { error: upstreamMessage },
)

/** One entry of `routes`. */
export const route = section({
  name: optional(name(), 'Its label in logs and metrics; route-1, route-2, ... if left out.'),
  match: key(
    match,
    {},
    'The requests it is for; all if left out. The first route that matches wins.',
  ),
  upstream: required(
    upstreamReference,
    'A name from upstreams, or a URL or a list of URLs in place.',
  ),
  ...settings,
})

export type RouteSettings = z.output<typeof routeSettings>
export type RouteEntry = z.output<typeof route>
