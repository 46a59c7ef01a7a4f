/** Makes the `Config` that the program uses out of a valid file: complete routes, paths absolute, deep-frozen. */

import { resolve } from 'node:path'

import { defaultAlgorithms } from './auth-schema.ts'
import type { AuthEntry } from './auth-schema.ts'
import type {
  AdminConfig,
  AuthConfig,
  BalanceConfig,
  CloseConfig,
  Config,
  FieldEdits,
  HashKey,
  JwtAuthConfig,
  KeepaliveConfig,
  ListenerConfig,
  ListenerTlsConfig,
  MatchConfig,
  RouteConfig,
  UpstreamConfig,
  UpstreamTlsConfig,
  ValueMatch,
} from './config.ts'
import { routesWithDefaults } from './defaults.ts'
import { deepFreeze } from './freeze.ts'
import { Identities } from './identity.ts'
import type { Listener, ListenerTls } from './listener-schema.ts'
import type { MatchEntry, ValueMatchEntry } from './match-schema.ts'
import { routeName, upstreamName } from './route-checks.ts'
import type { RouteEntry, RouteSettings } from './route-schema.ts'
import { upstream } from './schema.ts'
import type { Admin, ConfigInput, ConfigOutput, Upstream } from './schema.ts'

export interface Built {
  /** The file's absolute path. */
  readonly file: string
  /** The directory that relative files start from. */
  readonly directory: string
  readonly input: ConfigInput
  readonly output: ConfigOutput
  readonly warnings: readonly string[]
}

export function buildConfig({ file, directory, input, output, warnings }: Built): Config {
  const toFile = (path: string): string => resolve(directory, path)
  const upstreams = new Map(
    Object.entries(output.upstreams).map(([name, value]) => [
      name,
      buildUpstream({ name, identity: name }, value, toFile),
    ]),
  )
  const identities = new Identities()
  const routes = routesWithDefaults(input).map((merged, index) => {
    const name = routeName(merged, ['routes', index])
    const identity = identities.of(merged)
    const named = upstreamName(merged)
    if (named === undefined) {
      // Endpoints in place get what an upstream gets that says nothing else.
      const written = input.routes[index]?.upstream ?? []
      const endpoints = Array.isArray(written) ? written : [written]
      upstreams.set(name, buildUpstream({ name, identity }, upstream.parse({ endpoints }), toFile))
    }
    return buildRoute({ name, identity }, merged, named ?? name)
  })
  return deepFreeze({
    file,
    listeners: output.listeners.map((value) => buildListener(value, toFile)),
    admin: output.admin === 'off' ? undefined : buildAdmin(output.admin, toFile),
    log: output.log,
    trustedProxies: output.trustedProxies,
    forwarded: output.forwarded === 'off' ? undefined : output.forwarded,
    via: output.via === 'on',
    shutdown: { drainMs: output.shutdown.drain, spread: output.shutdown.spread },
    reload: { watch: output.reload.watch },
    relay: buildRelay(output.relay),
    upstreams,
    auth: new Map(
      Object.entries(output.auth).map(([name, value]) => [name, buildAuth(name, value, toFile)]),
    ),
    routes,
    warnings,
  })
}

function buildRelay({
  engine,
  threads,
  bufferBytes,
  frames,
}: ConfigOutput['relay']): Config['relay'] {
  return {
    engine,
    bufferBytes,
    frames: frames === 'on',
    ...(threads === undefined ? {} : { threads }),
  }
}

function buildAdmin(value: Exclude<Admin, 'off'>, toFile: ToFile): AdminConfig {
  return {
    address: value.address,
    mode: value.mode,
    owner: value.owner,
    token: value.token,
    tls: value.tls && { cert: toFile(value.tls.cert), key: toFile(value.tls.key) },
    hosts: value.hosts.map((host) => host.toLowerCase()),
  }
}

/** What a route or an upstream is known by. */
interface Known {
  readonly name: string
  readonly identity: string
}

type ToFile = (path: string) => string

function buildListener(value: Listener, toFile: ToFile): ListenerConfig {
  return {
    address: value.address,
    backlog: value.backlog,
    reusePort: value.reusePort,
    ipv6Only: value.ipv6Only,
    mode: value.mode,
    owner: value.owner,
    tls: value.tls && buildListenerTls(value.tls, toFile),
    h2c: value.h2c,
    redirect: value.redirect === 'https' ? { port: 443 } : value.redirect,
    proxyProtocol: value.proxyProtocol,
    headTimeoutMs: value.headTimeout,
    headBytesMax: value.headBytes,
    keepAliveTimeoutMs: value.keepAliveTimeout,
    halfClose: value.halfClose,
    connectionsMax: value.connections,
  }
}

function buildListenerTls(value: ListenerTls, toFile: ToFile): ListenerTlsConfig {
  return {
    cert: value.cert && toFile(value.cert),
    key: value.key && toFile(value.key),
    certificates: value.certificates.map(({ cert, key, names }) => ({
      cert: toFile(cert),
      key: toFile(key),
      names,
    })),
    unknownNames: value.unknownNames,
    minVersion: value.minVersion,
    ciphers: value.ciphers,
    handshakeTimeoutMs: value.handshakeTimeout,
    handshakesMax: value.handshakes,
    http2: value.http2,
    clientCa: value.clientCa && toFile(value.clientCa),
    clientCert: value.clientCa === undefined ? undefined : (value.clientCert ?? 'require'),
    crl: value.crl && toFile(value.crl),
  }
}

function buildUpstream(known: Known, value: Upstream, toFile: ToFile): UpstreamConfig {
  return {
    ...known,
    endpoints: value.endpoints,
    balance: buildBalance(value.balance),
    health: {
      setAsideMs: value.health.setAside,
      setAsideMaxMs: value.health.setAsideMax,
      whenAllDown: value.health.whenAllDown,
    },
    tls: buildUpstreamTls(value.tls, toFile),
    rebalance: value.rebalance === 'off' ? undefined : value.rebalance,
    proxyProtocol: value.proxyProtocol,
    localAddress: value.localAddress,
    http2Streams: value.http2Streams,
  }
}

function buildUpstreamTls(value: Upstream['tls'], toFile: ToFile): UpstreamTlsConfig {
  const { ca, serverName, cert, key, minVersion, insecure } = value
  return {
    ca: ca && toFile(ca),
    serverName,
    cert: cert && toFile(cert),
    key: key && toFile(key),
    minVersion,
    insecure,
  }
}

function buildBalance(value: Upstream['balance']): BalanceConfig {
  if (typeof value !== 'string') return { policy: 'hash', key: buildHashKey(value.hash) }
  return value === 'hash' ? { policy: 'hash', key: { by: 'client' } } : { policy: value }
}

function buildHashKey(value: string): HashKey {
  const [by = '', name = ''] = value.split(':', 2)
  if (by === 'header') return { by, name: name.toLowerCase() }
  if (by === 'cookie') return { by, name }
  return { by: by === 'path' ? 'path' : 'client' }
}

function buildAuth(name: string, value: AuthEntry, toFile: ToFile): AuthConfig {
  if (value.type === 'basic') return { ...value, name, users: toFile(value.users) }
  if (value.type === 'apiKey') return { ...value, name, keys: toFile(value.keys) }
  if (value.type === 'jwt') return buildJwt(name, value, toFile)
  if (value.type === 'clientCert') {
    return { name, type: value.type, subject: value.subject, san: value.san, user: value.user }
  }
  const { type, url, copy, timeout, userHeader, recheck, onRecheckError } = value
  return {
    name,
    type,
    url,
    copy,
    timeoutMs: timeout,
    userHeader,
    recheckMs: recheck,
    onRecheckError,
  }
}

function buildJwt(
  name: string,
  value: Extract<AuthEntry, { type: 'jwt' }>,
  toFile: ToFile,
): JwtAuthConfig {
  return {
    name,
    type: value.type,
    from: value.from,
    jwks: value.jwks,
    secret: value.secret,
    publicKey: value.publicKey === undefined ? undefined : toFile(value.publicKey),
    algorithms: value.algorithms ?? defaultAlgorithms(value),
    issuer: value.issuer,
    audience: value.audience,
    clockToleranceMs: value.clockTolerance,
    claims: new Map(Object.entries(value.claims)),
    userClaim: value.userClaim,
    realm: value.realm,
    closeOnExpiry: value.closeOnExpiry,
  }
}

function buildRoute(known: Known, value: RouteEntry, upstreamOfRoute: string): RouteConfig {
  const { limits, timeouts, rewrite } = value
  return {
    ...known,
    match: buildMatch(value.match),
    upgrade: value.upgrade === 'any' ? 'any' : [...new Set(value.upgrade)],
    http: value.http,
    auth: value.auth.map((group) => group.map((each) => each.name)),
    origins: value.origins === 'off' ? undefined : value.origins,
    allow: value.allow === 'off' ? undefined : value.allow,
    limits,
    timeouts: {
      connectMs: timeouts.connect,
      handshakeMs: timeouts.handshake,
      responseMs: timeouts.response,
      bodyMs: timeouts.body,
      idleMs: timeouts.idle,
      lifetimeMs: timeouts.lifetime,
    },
    keepalive: value.keepalive === 'off' ? undefined : buildKeepalive(value.keepalive),
    close: buildClose(value.close),
    onReload: value.onReload,
    rewrite: { stripPrefix: rewrite.stripPrefix, addPrefix: rewrite.addPrefix },
    headers: {
      request: buildEdits(value.headers.request),
      response: buildEdits(value.headers.response),
    },
    upstream: upstreamOfRoute,
  }
}

function buildKeepalive({
  ping,
  timeout,
  upstream: both,
}: Exclude<RouteSettings['keepalive'], 'off'>): KeepaliveConfig {
  return { pingMs: ping, timeoutMs: timeout, upstream: both }
}

function buildClose({ timeout, ...frames }: RouteSettings['close']): CloseConfig {
  return { timeoutMs: timeout, frames }
}

function buildMatch(value: MatchEntry): MatchConfig {
  return {
    hosts: value.host,
    path: value.path,
    methods: value.methods,
    headers: buildConditions(value.headers, (name) => name.toLowerCase()),
    query: buildConditions(value.query, (name) => name),
  }
}

function buildConditions(
  conditions: Readonly<Record<string, ValueMatchEntry>>,
  toName: (written: string) => string,
): Map<string, ValueMatch> {
  return new Map(
    Object.entries(conditions).map(([name, value]) => [toName(name), buildCondition(value)]),
  )
}

function buildCondition(value: ValueMatchEntry): ValueMatch {
  if (value === true) return { kind: 'present' }
  if (value === false) return { kind: 'absent' }
  return typeof value === 'string'
    ? { kind: 'equals', value }
    : { kind: 'regex', regex: value.regex }
}

function buildEdits(value: RouteSettings['headers']['request']): FieldEdits {
  return {
    set: Object.entries(value.set),
    remove: value.remove.map((name) => name.toLowerCase()),
  }
}
