/**
 * Metrics and health for operators, on a port of its own. It reads state and changes none, and it is not meant for
 * clients: whoever can reach it can read the names of routes and endpoints.
 */

import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Address, AdminConfig } from '../config/config.ts'

/** What the pages are made of. */
export interface AdminParts {
  /** The body of /metrics; a rejection is answered with 500. */
  metrics(): Promise<string>
  /** Of that body. */
  readonly contentType: string
  /** False from the moment on in which no new requests should come. */
  isReady(): boolean
}

export interface Admin {
  /** As bound: the real port where the config says 0. */
  readonly address: Address
  /** Cuts what is open; fulfilled when the address is free again. */
  close(): Promise<void>
}

interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: http.OutgoingHttpHeaders
}

const LIMITS: http.ServerOptions = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 1000,
}

/** Prometheus, a probe or two and some operators; what is beyond closes at once. */
const CONNECTIONS_MAX = 64

const TEXT = 'text/plain; charset=utf-8'

const KNOWN = [
  'GET /metrics   Prometheus metrics',
  'GET /healthz   200 while the process lives',
  'GET /readyz    200 while requests are welcome, else 503',
]

/** Rejects with node's error (EADDRINUSE, EACCES, ...) when the address cannot be bound. */
export async function startAdmin({ address }: AdminConfig, parts: AdminParts): Promise<Admin> {
  const server = http.createServer(
    LIMITS,
    (request, response) => void answer(request, response, parts),
  )
  server.maxConnections = CONNECTIONS_MAX
  server.listen(
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
  )
  await once(server, 'listening')
  return { address: bound(server, address), close: () => close(server) }
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  parts: AdminParts,
): Promise<void> {
  const { status, type, body, headers } = await pageFor(request, parts)
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  })
  // node leaves the body out where the method is HEAD.
  response.end(body)
}

function pageFor({ method, url }: http.IncomingMessage, parts: AdminParts): Page | Promise<Page> {
  const path = url?.split('?', 1)[0]
  if (path !== '/metrics' && path !== '/healthz' && path !== '/readyz') {
    return text(404, `There is no such page here, but:\n${KNOWN.join('\n')}\n`)
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...text(405, 'Only GET and HEAD.\n'), headers: { Allow: 'GET, HEAD' } }
  }
  if (path === '/metrics') return metricsPage(parts)
  if (path === '/healthz' || parts.isReady()) return text(200, 'ok\n')
  return text(503, 'The gateway is shutting down.\n')
}

async function metricsPage(parts: AdminParts): Promise<Page> {
  try {
    return { status: 200, type: parts.contentType, body: await parts.metrics() }
  } catch {
    return text(500, 'The metrics could not be read.\n')
  }
}

function text(status: number, body: string): Page {
  return { status, type: TEXT, body }
}

function bound(server: http.Server, address: Address): Address {
  if (address.kind === 'unix') return address
  return { ...address, port: (server.address() as AddressInfo).port }
}

async function close(server: http.Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
