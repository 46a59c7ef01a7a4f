/**
 * The one place that tells the outside what happened: in lines of the log, and in metrics. No header, query string or token
 * is in any of them.
 */

import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Tried } from '../auth/authorize.ts'
import type { RouteConfig } from '../config/config.ts'
import { catalogue } from '../errors.ts'
import type { TunnelEnd, TunnelReading } from '../relay/tunnel-end.ts'
import { plainAddress } from '../request/address-set.ts'
import {
  askedProtocol,
  closeFields,
  httpVersionOf,
  lostUpgradeCause,
  microseconds,
  requestFields,
} from './fields.ts'
import { cutValue, type Logger } from './logger.ts'
import { NONE, type HandshakeResult, type Metrics } from './metrics.ts'
import {
  type AdminReport,
  type AnsweredReport,
  type BrokenReport,
  type CertificateLine,
  type ClientsRefusedReport,
  type DrainReport,
  kOpen,
  type RecheckReport,
  type RefusedReport,
  type ReloadReport,
  type ReportedTunnel,
  type RequestReport,
  type TunnelReport,
} from './reported.ts'
import { cutFree, Words } from './words.ts'

/** After a line that would come for each request or client. */
const TELL_AGAIN_MS = 60_000

/** More proxies than stand before any gateway; clients that look like one can fill it, and then some are told of again. */
const STRIPPERS_MAX = 100

export class Report {
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #words = new Words()
  /** Peers that are told of by now. */
  readonly #strippers = new LRUCache<string, true>({ max: STRIPPERS_MAX })
  /** Since the last line about it. */
  #exhausted = { times: 0, toldAtMs: -Infinity }

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log
    this.#metrics = metrics
  }

  authTried(route: string, tried: readonly Tried[]): void {
    for (const { check, result } of tried) this.#metrics.authTried(route, check, result)
  }

  /** A plain request that an upstream answered. */
  requestAnswered(report: AnsweredReport): void {
    this.#answered(report, undefined)
  }

  /** A plain request that the gateway refused, or an upgrade that it refused before a route said that it is one. */
  requestRefused(report: RefusedReport): void {
    this.#refused(report, undefined)
  }

  /** An upgrade to which the upstream gave another answer than 101. */
  handshakeAnswered(report: AnsweredReport & { readonly handshakeMs?: number }): void {
    const protocol = askedProtocol(report)
    this.#handshakeEnded(report, protocol, 'answered', report.handshakeMs)
    this.#answered(report, protocol)
  }

  /** An upgrade that the gateway refused. */
  handshakeRefused(report: RefusedReport): void {
    const protocol = askedProtocol(report)
    this.#handshakeEnded(report, protocol, report.refusal.code, undefined)
    this.#refused(report, protocol)
  }

  broken({ requestId, clientIp, refusal }: BrokenReport): void {
    this.#metrics.requestEnded(NONE, refusal.status)
    this.#log[catalogue[refusal.code].level](
      {
        requestId,
        clientIp,
        status: refusal.status,
        code: refusal.code,
        cause: refusal.details.cause,
      },
      'request',
    )
  }

  /** Returns the tunnel with its id; it goes to `tunnelClosed`. */
  tunnelOpened(report: TunnelReport): ReportedTunnel {
    const { facts, route } = report
    const words = this.#words
    const endpoint = report.endpoint ?? NONE
    const protocol = words.own(cutValue(report.protocol))
    const labels = { route: route.name, upstream: route.upstream, endpoint, protocol }
    const tunnel = {
      requestId: facts.peerTrusted ? cutFree(facts.requestId) : facts.requestId,
      tunnelId: randomUUID(),
      route: route.name,
      upstream: route.upstream,
      endpoint,
      clientIp: words.own(facts.clientIp),
      host: words.own(cutValue(facts.host)),
      path: words.own(cutValue(facts.path)),
      method: facts.method,
      protocol,
      httpVersion: httpVersionOf(facts.http2 !== undefined),
      endpointHttpVersion: httpVersionOf(report.endpointHttp2),
      user: report.user === undefined ? undefined : words.own(cutValue(report.user)),
      status: 101,
      handshakeMs: microseconds(report.handshakeMs),
      [kOpen]: this.#metrics.tunnelOpened(labels),
    }
    this.#metrics.requestEnded(tunnel.route, tunnel.status)
    this.#metrics.handshakeEnded(tunnel, 'ok', report.handshakeMs)
    this.#log.info(tunnel, 'tunnel open')
    return tunnel
  }

  /**
   * An open tunnel goes on under `route` of a new config, where it counts from now on; `reading` is what went through it
   * before. Returns the tunnel in place of the one that was given.
   */
  tunnelMoved(
    tunnel: ReportedTunnel,
    { name: route, upstream }: RouteConfig,
    reading: TunnelReading,
  ): ReportedTunnel {
    if (route === tunnel.route && upstream === tunnel.upstream) return tunnel
    const moved = { ...tunnel, route, upstream }
    const opened = this.#metrics.tunnelMoved(tunnel.route, tunnel[kOpen], moved, reading)
    return { ...moved, [kOpen]: opened }
  }

  tunnelClosed(tunnel: ReportedTunnel, end: TunnelEnd): void {
    this.#metrics.tunnelClosed(tunnel.route, tunnel[kOpen], end)
    this.#log.info(closeFields(tunnel, end), 'tunnel close')
  }

  /** An endpoint was set aside, or is back. */
  endpointChanged(upstream: string, endpoint: { readonly url: string }, up: boolean): void {
    const fields = { upstream, endpoint: endpoint.url }
    if (up) this.#log.info(fields, 'endpoint up')
    else this.#log.warn(fields, 'endpoint down')
  }

  /** An operator empties an endpoint, or gives it tunnels again. */
  endpointDrained(upstream: string, endpoint: { readonly url: string }, draining: boolean): void {
    const fields = { upstream, endpoint: endpoint.url }
    if (draining) this.#log.info(fields, 'endpoint drain')
    else this.#log.info(fields, 'endpoint enable')
  }

  /** Of a close that takes its time; every few seconds. */
  drainProgress({ reason, upstream, endpoint, left, of }: DrainReport): void {
    this.#log.info({ reason, upstream, endpoint, left, of }, 'closing tunnels')
  }

  /** Clients whose tunnels are closed for another endpoint come back to the one that they had. */
  rebalanceStuck(upstream: string): void {
    this.#log.warn({ upstream }, 'rebalancing brings nothing')
  }

  /** Certificates of its endpoints are not checked. At each start and reload. */
  upstreamInsecure(upstream: string): void {
    this.#log.warn({ upstream }, 'nobody checks who answers for this upstream')
  }

  /** systemd has passed them for nothing. At each start and reload. */
  socketsUntaken(sockets: readonly { readonly fd: number; readonly name: string }[]): void {
    const named = sockets.map(({ fd, name }) => `${name} (${fd})`)
    this.#log.warn({ sockets: named }, 'no listener is for these sockets of systemd')
  }

  /** The limits of the config are higher than those of the process. At each start and reload. */
  tooFewDescriptors(limit: number, needed: number): void {
    const cause = `connections and tunnels of the config need ${needed}: set LimitNOFILE=${needed} (systemd), --ulimit nofile=${needed} (docker) or ulimit -n ${needed}, or lower the limits in the config`
    this.#log.warn({ limit, needed, cause }, 'descriptors too few for the config')
  }

  /** There were no descriptors, or no memory, for a connection, so many times more. The log has it at most once a minute. */
  exhausted(cause: string, times = 1): void {
    this.#metrics.exhausted(times)
    this.#exhausted.times += times
    const nowMs = performance.now()
    if (nowMs < this.#exhausted.toldAtMs + TELL_AGAIN_MS) return
    this.#log.warn({ cause, times: this.#exhausted.times }, 'no descriptors left')
    this.#exhausted = { times: 0, toldAtMs: nowMs }
  }

  /** At most once a minute for each limit of a listener. */
  clientsRefused({ url, key, full, share, clientIp }: ClientsRefusedReport): void {
    const line = { url, key, full, share, clientIp: plainAddress(clientIp) ?? clientIp }
    this.#log.warn(line, 'clients turned away')
  }

  /** The config was read again and is in use: `changes` says in how many places it differs, `closed` how many tunnels end by it. */
  reloaded(reload: ReloadReport & { readonly changes: number; readonly closed: number }): void {
    const { file, cause, changes, closed } = reload
    this.#metrics.configReloaded('ok')
    this.#log.info({ file, cause, changes, closed }, 'config reloaded')
  }

  /** It cannot be used; `problems` says why, a line for each. */
  reloadFailed({ file, cause, problems }: ReloadReport & { readonly problems: string }): void {
    this.#metrics.configReloaded('failed')
    this.#log.error({ file, cause, problems }, 'config not reloaded, the old one stays in use')
  }

  /** A reload left what changed under these keys as it was. */
  keysNeedRestart(keys: readonly string[]): void {
    this.#log.warn({ keys }, 'config keys need a restart')
  }

  /** A file that no check of `auth` has. */
  fileReloaded(fields: { readonly file: string; readonly what: string }): void {
    this.#log.info(fields, 'file reloaded')
  }

  /** Its files have changed: new clients are shown it from now on. */
  certificateReloaded(line: CertificateLine): void {
    this.#log.info(line, 'certificate reloaded')
  }

  /** Its files have changed, and cannot be used. */
  certificateNotReloaded(failure: {
    readonly url: string
    readonly file: string
    readonly cause: string
  }): void {
    this.#log.error(failure, 'certificate not reloaded, the old one stays in use')
  }

  /** Soon, or already. */
  certificateExpires(line: CertificateLine, hasExpired: boolean): void {
    if (hasExpired) this.#log.error(line, 'certificate has expired')
    else this.#log.warn(line, 'certificate expires soon')
  }

  adminAction(action: AdminReport): void {
    this.#log.info(
      {
        action: action.action,
        by: action.by,
        route: action.route,
        upstream: action.upstream,
        endpoint: action.endpoint,
        tunnelId: action.tunnelId,
        user: action.user,
        clientIp: action.clientIp,
        tunnels: action.tunnels,
      },
      'admin action',
    )
  }

  /** A fault of the gateway itself: `path` is that of the call in the API's document, `cause` has the stack. */
  adminFailed(call: {
    readonly method: string
    readonly path: string
    readonly cause: string
  }): void {
    this.#log.error(
      { method: call.method, path: call.path, cause: call.cause },
      'admin call failed',
    )
  }

  recheckFailed({ route, check, tunnelId, cause }: RecheckReport): void {
    this.#log.warn({ route, check, tunnelId, cause }, 'credentials could not be checked again')
  }

  /** Once for each of the last peers: the line of each such request says it as well. */
  #tellLostUpgrade({ facts }: RequestReport): void {
    if (facts?.lostUpgrade !== true) return
    const { clientIp } = facts
    if (this.#strippers.get(clientIp) === true) return
    this.#strippers.set(clientIp, true)
    this.#log.warn({ clientIp, cause: lostUpgradeCause(facts) }, 'handshake without its Upgrade')
  }

  #answered(report: AnsweredReport, protocol: string | undefined): void {
    const { status, cause } = report
    this.#tellLostUpgrade(report)
    this.#metrics.requestEnded(routeLabel(report), status)
    this.#log.info(requestFields(report, { protocol, status, code: undefined, cause }), 'request')
  }

  #refused(report: RefusedReport, protocol: string | undefined): void {
    const { refusal } = report
    const { code, status } = refusal
    this.#tellLostUpgrade(report)
    this.#metrics.requestEnded(routeLabel(report), status)
    this.#log[catalogue[code].level](
      requestFields(report, { protocol, status, code, cause: refusal.details.cause }),
      'request',
    )
    if (code === 'E_GATEWAY_EXHAUSTED') this.exhausted(refusal.details.cause ?? code)
  }

  #handshakeEnded(
    report: RequestReport,
    protocol: string | undefined,
    result: HandshakeResult,
    ms: number | undefined,
  ): void {
    const labels = {
      route: routeLabel(report),
      upstream: report.route?.upstream ?? NONE,
      protocol: protocol ?? NONE,
    }
    this.#metrics.handshakeEnded(labels, result, ms)
  }
}

function routeLabel({ route }: RequestReport): string {
  return route?.name ?? NONE
}
