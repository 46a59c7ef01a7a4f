/** Node's HTTP parser as a listener wants it: strict, with its limits, and for clients that may half-close. It binds nothing: connections are handed to it. */

import http from 'node:http'
import type { ListenerConfig } from '../config/config.ts'

/** How often node looks for heads that are overdue. */
const HEAD_CHECK_MIN_MS = 20
const HEAD_CHECK_MAX_MS = 1000

export type HttpLimits = Pick<
  ListenerConfig,
  'headBytesMax' | 'headTimeoutMs' | 'keepAliveTimeoutMs'
>

/** `shouldUpgrade`: whether the parser shall stop behind this request's head. */
export function createHttpServer(
  limits: HttpLimits,
  shouldUpgrade: (request: http.IncomingMessage) => boolean,
): http.Server {
  const server = http.createServer({
    ...optionsFor(limits),
    // A body may take its time; the route's idle limit watches over it.
    requestTimeout: 0,
    // Host is checked with the rest of the facts, so that its refusal looks like every other.
    requireHostHeader: false,
    insecureHTTPParser: false,
    shouldUpgradeCallback: shouldUpgrade,
  })
  // Beyond its default of 2000 node would drop fields silently; `headBytes` bounds them.
  server.maxHeadersCount = 0
  // A client that half-closes after its request still gets the answer.
  ;(server as http.Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
  watchHeads(server)
  return server
}

/** Takes effect at once for heads that are on their way, save for their size, which the next connections have. */
export function adjustHttpServer(server: http.Server, limits: HttpLimits): void {
  Object.assign(server, optionsFor(limits))
  watchHeads(server)
}

/** Node reads each of these from the server when it needs it. */
function optionsFor({ headBytesMax, headTimeoutMs, keepAliveTimeoutMs }: HttpLimits) {
  return {
    maxHeaderSize: headBytesMax,
    headersTimeout: headTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(
      Math.max(Math.ceil(headTimeoutMs / 8), HEAD_CHECK_MIN_MS),
      HEAD_CHECK_MAX_MS,
    ),
  }
}

/** With this event node begins to look for heads that are overdue, or goes on in another interval. */
function watchHeads(server: http.Server): void {
  server.emit('listening')
}
