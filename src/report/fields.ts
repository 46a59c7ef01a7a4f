/** The fields of the log lines of requests and tunnels. What is not named here is in no line. */

import type { Code } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import type { FrameCounts, TunnelEnd } from '../relay/tunnel-end.ts'
import { cutValue } from './logger.ts'
import { NO_CLOSE } from './metrics.ts'
import type { AnsweredReport, RefusedReport, ReportedTunnel, RequestReport } from './reported.ts'

/** How a request ended. */
export interface Outcome {
  readonly protocol: string | undefined
  readonly status: number
  readonly code: Code | undefined
  readonly cause: string | undefined
}

/** Of the line of a request that became no tunnel. */
export function requestFields(report: AnsweredReport | RefusedReport, outcome: Outcome): object {
  const { facts, route } = report
  return {
    requestId: facts?.requestId ?? report.requestId,
    route: route?.name,
    upstream: route?.upstream,
    endpoint: report.endpoint,
    clientIp: facts?.clientIp ?? report.clientIp,
    host: facts?.host,
    path: facts?.path,
    method: facts?.method ?? report.method,
    protocol: outcome.protocol,
    httpVersion: httpVersionOf(facts?.http2 !== undefined),
    endpointHttpVersion: httpVersionOf(report.endpointHttp2),
    user: report.user,
    status: outcome.status,
    code: outcome.code,
    durationMs: microseconds(report.durationMs),
    bytesUp: report.bytesUp,
    bytesDown: report.bytesDown,
    cause: outcome.cause ?? (facts?.lostUpgrade && lostUpgradeCause(facts)),
  }
}

/** Says what to set, since neither the client nor the proxy in between sees anything wrong. */
export function lostUpgradeCause({ clientIp }: RequestFacts): string {
  const peer = clientIp === '' ? 'unix' : clientIp
  return `a WebSocket handshake without its Upgrade: if a proxy at ${peer} removes it, add ${peer} to trustedProxies`
}

/** Of a tunnel's second line: all that its first one has, and how it went and ended. */
export function closeFields(tunnel: ReportedTunnel, end: TunnelEnd): object {
  const { webSocket } = end
  return {
    requestId: tunnel.requestId,
    tunnelId: tunnel.tunnelId,
    route: tunnel.route,
    upstream: tunnel.upstream,
    endpoint: tunnel.endpoint,
    clientIp: tunnel.clientIp,
    host: tunnel.host,
    path: tunnel.path,
    method: tunnel.method,
    protocol: tunnel.protocol,
    httpVersion: tunnel.httpVersion,
    endpointHttpVersion: tunnel.endpointHttpVersion,
    user: tunnel.user,
    status: tunnel.status,
    handshakeMs: tunnel.handshakeMs,
    durationMs: microseconds(end.durationMs),
    bytesUp: end.bytesUp,
    bytesDown: end.bytesDown,
    messagesUp: messages(webSocket?.up),
    messagesDown: messages(webSocket?.down),
    firstUpMs: microsecondsIfAny(end.firstUpMs),
    firstDownMs: microsecondsIfAny(end.firstDownMs),
    by: end.by,
    reason: end.reason,
    cause: end.cause,
    wsCloseBy: webSocket && (webSocket.close?.by ?? end.by),
    wsCloseCode: webSocket && (webSocket.close?.code ?? NO_CLOSE),
    blind: webSocket && blindPeers(webSocket.up.blind, webSocket.down.blind),
  }
}

/** The protocol that stands first in the request: nobody has chosen another one. */
export function askedProtocol({ facts }: RequestReport): string | undefined {
  const asked = facts?.upgrade[0]
  return asked === undefined ? undefined : cutValue(asked)
}

/** Tells HTTP/2 from what nearly all peers speak. */
export function httpVersionOf(isHttp2: boolean | undefined): '2.0' | undefined {
  return isHttp2 === true ? '2.0' : undefined
}

/** The data messages: what the peers have said to each other. */
function messages(frames: FrameCounts | undefined): number | undefined {
  return frames && frames.text + frames.binary
}

function blindPeers(up: boolean, down: boolean): 'client' | 'upstream' | 'both' | undefined {
  if (up) return down ? 'both' : 'client'
  return down ? 'upstream' : undefined
}

function microsecondsIfAny(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : microseconds(ms)
}

/** Milliseconds with three decimals: a line does not need sixteen. */
export function microseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
