/** The entries of `routes`, and `defaults`, as the file has them. */

import { z } from 'zod'

import type { PathMatch } from './config.ts'
import { fieldName, fieldValue, method, upgradeToken } from './fields.ts'
import {
  addressBlock,
  endpointForms,
  endpointUrl,
  hostPattern,
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
  oneOrMore,
  regex,
  text,
} from './scalars.ts'
import { key, optional, required, section } from './section.ts'

/** An endpoint in a list: an URL, or an URL with a weight. */
export const endpoint = z
  .union(
    [
      endpointUrl(),
      section({
        url: required(endpointUrl(), `Where it is: ${endpointForms}.`),
        weight: key(count(1, 1000), 1, 'Its share of tunnels, against those of the others.'),
      }),
    ],
    { error: `expected an URL (${endpointForms}), or a map with url and weight` },
  )
  .transform((value) =>
    'address' in value ? { ...value, weight: 1 } : { ...value.url, weight: value.weight },
  )

/** The path of a request, or the beginning of one. */
const path = text('a path that starts with /')
  .transform((value, context) => {
    if (!value.startsWith('/')) return fail(context, 'expected a path that starts with /')
    if (/[?#]/.test(value)) return fail(context, 'a path has no ? and no #')
    return /^[\x21-\x7e]*$/.test(value)
      ? value
      : fail(context, 'write other than printable ASCII characters as %XX')
  })
  .meta({ title: 'path' })

/** A path in the form in which requests are matched, so that what is written here can match at all. */
const matchPath = path.transform((value, context) =>
  /\/\/|\/\.{1,2}(?:\/|$)/.test(value)
    ? fail(context, 'can never match: paths are matched without "//", "/./" and "/../"')
    : value,
)

const valueMatch = z
  .union(
    [
      z.boolean(),
      text('a value'),
      section({ regex: required(regex(), 'The value must match it, in RE2 syntax.') }),
    ],
    { error: 'expected text, true (present), false (absent) or { regex: ... }' },
  )
  .meta({ title: 'text, true, false or { regex }' })

const pathMatch = z.union(
  [
    matchPath.transform((value): PathMatch => ({ kind: 'prefix', path: value })),
    section({
      exact: optional(matchPath, 'Only this path.'),
      regex: optional(regex(), 'The whole path must match it, in RE2 syntax.'),
    }).transform((value, context): PathMatch => {
      const { exact, regex: pattern } = value
      // An unknown key is told already, and is probably one of the two.
      if (context.issues.length > 0) return z.NEVER
      if (exact !== undefined && pattern === undefined) return { kind: 'exact', path: exact }
      if (pattern !== undefined && exact === undefined) return { kind: 'regex', regex: pattern }
      return fail(context, 'expected either exact or regex')
    }),
  ],
  { error: 'expected a path such as /ws, { exact: /ws } or { regex: "/ws/[0-9]+" }' },
)

const match = section({
  host: optional(
    oneOrMore(hostPattern(), 'a host or a list of hosts'),
    'A host or a list of them; *.example.com is any name below example.com. Every host if left out.',
  ),
  path: optional(
    pathMatch,
    'A prefix that ends where a segment ends, or one of exact and regex. Every path if left out.',
  ),
  methods: optional(
    list(method(), 'a list of methods, such as [GET, POST]', 1),
    'Every method if left out.',
  ),
  headers: key(
    z.record(fieldName(), valueMatch, {
      error: 'expected a map from header fields to text, true, false or { regex: ... }',
    }),
    {},
    'Fields a request must have: the value, true (present), false (absent) or { regex }.',
  ),
  query: key(
    z.record(text('the name of a parameter'), valueMatch, {
      error: 'expected a map from parameters to text, true, false or { regex: ... }',
    }),
    {},
    'Query parameters, likewise.',
  ),
})

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

/** Codes that may be sent in a Close frame (RFC 6455 7.4), save those that only clients have a use for. */
const closeCode = z
  .number({ error: 'expected a close code such as 1001' })
  .int('expected a close code such as 1001')
  .refine(
    (code) =>
      (code >= 1000 && code <= 1014 && ![1004, 1005, 1006, 1010].includes(code)) ||
      (code >= 3000 && code <= 4999),
    'expected 1000 to 1014 without 1004, 1005, 1006 and 1010, or 3000 to 4999',
  )

const CLOSE_TEXT_BYTES_MAX = 123

function closeFrame(code: number, defaultText: string, when: string) {
  return key(
    z
      .union(
        [
          closeCode,
          section({
            code: key(closeCode, code, 'The close code.'),
            text: key(text('a text'), defaultText, 'A few words for the peer.'),
            retryAfter: optional(
              duration(),
              'A hint for clients, behind the text: when to come back.',
            ),
          }),
        ],
        { error: 'expected a close code such as 1001, or a map with keys of code, text, retryAfter' },
      )
      .transform((value, context) => {
        if (typeof value === 'number') return { code: value, text: defaultText }
        const hint =
          value.retryAfter === undefined
            ? ''
            : `; retry after ${Math.ceil(value.retryAfter / 1000)}s`
        const whole = `${value.text}${hint}`
        return Buffer.byteLength(whole) <= CLOSE_TEXT_BYTES_MAX
          ? { code: value.code, text: whole }
          : fail(context, `at most ${CLOSE_TEXT_BYTES_MAX} bytes of text fit, with the hint`)
      }),
    code,
    when,
  )
}

const close = section({
  timeout: key(
    duration(),
    '2s',
    'How long a peer may take to answer, and to end the frame it is in; then it is reset.',
  ),
  idle: closeFrame(1001, 'idle for too long', 'At timeouts.idle.'),
  lifetime: closeFrame(1001, 'open for too long', 'At timeouts.lifetime.'),
  dead: closeFrame(1001, 'no answer to pings', 'The other peer is dead.'),
  expired: closeFrame(1008, 'credentials expired', 'The credentials hold no more.'),
  drain: closeFrame(1001, 'going away', 'The gateway, or the endpoint, is going away.'),
  reload: closeFrame(1012, 'service restart', 'A new config has no place for the tunnel.'),
  kill: closeFrame(1008, 'closed by the operator', 'An operator closes the tunnel.'),
  rebalance: closeFrame(1012, 'rebalance', 'The client shall come back to another endpoint.'),
})

/** What a route may set, and `defaults` for all of them. */
const settings = {
  upgrade: key(
    z.union([choice(['any']), list(upgradeToken(), 'a list of tokens')], {
      error: 'expected a list of tokens such as [websocket], [] for none, or any',
    }),
    ['websocket'],
    'Upgrade tokens allowed; [] for none, any for all but h2c. Others are treated as plain HTTP.',
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
        duration(),
        '10s',
        'From the forwarded request to the head of the answer: 504 after it.',
      ),
      idle: key(duration({ off: true }), '10m', 'A tunnel without a byte in either direction.'),
      lifetime: key(duration({ off: true }), 'off', 'The longest time a tunnel may be open.'),
    }),
    {},
    'Time limits of the route.',
  ),
  keepalive: key(
    z.union(
      [
        choice(['off']),
        section({
          ping: key(duration(), '30s', 'Silence of a peer after which it is pinged.'),
          timeout: key(duration(), '10s', 'From the ping: a peer that is still silent is dead.'),
          upstream: key(flag(), false, 'Whether the upstream is pinged as well as the client.'),
        }),
      ],
      { error: 'expected off, or a map with keys of ping, timeout, upstream' },
    ),
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

const upstreamMessage = `expected a name from upstreams, an URL (${endpointForms}), or a list of URLs`

const upstreamReference = z.union(
  [
    text('a name from upstreams or an URL')
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
    'A name from upstreams, or an URL or a list of URLs in place.',
  ),
  ...settings,
})

export type RouteSettings = z.output<typeof routeSettings>
export type RouteEntry = z.output<typeof route>
export type MatchEntry = z.output<typeof match>
export type ValueMatchEntry = z.output<typeof valueMatch>
