/** node's HTTP or HTTPS server as a listener wants it: a strict parser, its limits, and clients that may half-close. */

import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { ListenerConfig } from '../config/config.ts'

/** TCP keepalive on client connections: finds peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 60_000
/** How often node looks for heads that are overdue. */
const HEAD_CHECK_MIN_MS = 20
const HEAD_CHECK_MAX_MS = 1000

export interface HttpServerOptions {
  /** Of the clients' sockets; those of TLS do not take it. */
  readonly highWaterMark: number
  /** Whether the parser shall stop behind this request's head. */
  readonly shouldUpgrade: (request: http.IncomingMessage) => boolean
}

/** Throws when a certificate cannot be read or is none. */
export function createHttpServer(
  config: ListenerConfig,
  { highWaterMark, shouldUpgrade }: HttpServerOptions,
): http.Server {
  const options = {
    highWaterMark,
    maxHeaderSize: config.headBytesMax,
    headersTimeout: config.headTimeoutMs,
    // A body may take its time; the route's idle limit watches over it.
    requestTimeout: 0,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(
      Math.max(config.headTimeoutMs / 8, HEAD_CHECK_MIN_MS),
      HEAD_CHECK_MAX_MS,
    ),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
    // Host is checked with the rest of the facts, so that its refusal looks like every other.
    requireHostHeader: false,
    insecureHTTPParser: false,
    shouldUpgradeCallback: shouldUpgrade,
  }
  const server =
    config.tls === undefined
      ? http.createServer(options)
      : https.createServer({
          ...options,
          cert: readFileSync(config.tls.cert),
          key: readFileSync(config.tls.key),
          allowHalfOpen: true,
          handshakeTimeout: config.headTimeoutMs,
          ALPNProtocols: ['http/1.1'],
        })
  // Beyond its default of 2000 node would drop fields silently; `headBytes` bounds them.
  server.maxHeadersCount = 0
  // A client that half-closes after its request still gets the answer.
  ;(server as http.Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
  if (config.connectionsMax !== Infinity) server.maxConnections = config.connectionsMax
  return server
}
