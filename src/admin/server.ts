/**
 * Metrics, health and the API for operators, on a port of its own. It is not meant for clients: whoever can reach it can
 * read the names of routes and endpoints, and whoever may call the API can close every tunnel.
 */

import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Address, AdminConfig } from '../config/config.ts'
import { readRegularFile } from '../config/read-file.ts'
import { bindPath, givePath } from '../listen/unix-path.ts'
import { socketBelow } from '../listen/tls-below.ts'
import { Api, targetOf } from './api.ts'
import { hasBody } from './body.ts'
import { AdminConnections } from './connections.ts'
import { Guard } from './guard.ts'
import { jsonPage, pageFor, type Page, type PageParts } from './pages.ts'
import type { ApiParts } from './parts.ts'

/** What the pages and the API are made of. */
export interface AdminParts extends PageParts {
  readonly api: ApiParts
}

export interface Admin {
  /** As bound: the real port where the config says 0. */
  readonly address: Address
  /**
   * Takes token, hosts and TLS of a new config into use for the next requests and connections, and gives a unix socket the
   * mode and the owner that are new; its address has to be the same. Rejects when a certificate cannot be read or the socket
   * cannot be given away, and all is as before then.
   */
  reconfigure(config: AdminConfig): Promise<void>
  /** Cuts what is open; fulfilled when the address is free again. */
  close(): Promise<void>
}

const LIMITS: http.ServerOptions = {
  maxHeaderSize: 8 * 1024,
  // Of silent connections as well.
  headersTimeout: 3000,
  requestTimeout: 5000,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 1000,
}

/** Of TLS. */
const HANDSHAKE_MS = 3000

/** Rejects with node's error (EADDRINUSE, EACCES, ...) when the address cannot be bound, or a certificate cannot be read. */
export async function startAdmin(config: AdminConfig, parts: AdminParts): Promise<Admin> {
  const admin = new RunningAdmin(config, parts)
  await admin.listen(config)
  return admin
}

class RunningAdmin implements Admin {
  readonly #parts: AdminParts
  readonly #api: Api
  readonly #connections = new AdminConnections()
  #guard: Guard
  #server: http.Server | https.Server
  /** Those before it that still have an answer to give. */
  readonly #retired = new Set<http.Server | https.Server>()
  #address: Address

  constructor(config: AdminConfig, parts: AdminParts) {
    this.#parts = parts
    this.#api = new Api(parts.api)
    this.#guard = new Guard(config)
    this.#server = this.#serverFor(config)
    this.#address = config.address
  }

  get address(): Address {
    return this.#address
  }

  /** At `#address`. */
  async listen(config: AdminConfig): Promise<void> {
    const server = this.#server
    const address = this.#address
    if (address.kind === 'unix') {
      await bindPath(server, address.path, config)
      return
    }
    server.listen({ host: address.host, port: address.port })
    await once(server, 'listening')
    this.#address = { ...address, port: (server.address() as AddressInfo).port }
  }

  async reconfigure(config: AdminConfig): Promise<void> {
    const before = this.#server
    const address = this.#address
    const certificate = config.tls && readCertificate(config.tls)
    // Before anything that cannot be taken back.
    if (address.kind === 'unix') givePath(address.path, config)
    if (certificate !== undefined && before instanceof https.Server) {
      before.setSecureContext(certificate)
    } else if (certificate !== undefined || before instanceof https.Server) {
      this.#server = this.#serverFor(config)
      this.#retire(before)
      await this.listen(config)
    }
    this.#guard = new Guard(config)
  }

  /** Its address is free at once; a call in progress, which may be the reload itself, is answered. */
  #retire(server: http.Server | https.Server): void {
    this.#retired.add(server)
    server.close(() => this.#retired.delete(server))
  }

  async close(): Promise<void> {
    const servers = [this.#server, ...this.#retired]
    await Promise.all(servers.map(closeServer))
  }

  #serverFor({ tls }: AdminConfig): http.Server | https.Server {
    const server =
      tls === undefined
        ? http.createServer(LIMITS)
        : https.createServer({
            ...LIMITS,
            ...readCertificate(tls),
            handshakeTimeout: HANDSHAKE_MS,
          })
    server.on('connection', (socket: Socket) => this.#connections.enter(socket))
    server.on('request', (request, response) => {
      void this.#answer(request, response, server)
    })
    return server
  }

  async #answer(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    server: http.Server | https.Server,
  ): Promise<void> {
    const socket =
      request.socket instanceof TLSSocket ? socketBelow(request.socket) : request.socket
    onceWhole(request, () => {
      // What is left of a body may be read behind the answer.
      if (socket !== undefined && !response.writableEnded) this.#connections.works(socket)
    })
    const { status, type, body, headers } = await this.#pageFor(request)
    response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(server === this.#server ? {} : { Connection: 'close' }),
      ...headers,
    })
    // node leaves the body out where the method is HEAD.
    response.end(body)
    if (socket !== undefined) this.#connections.waits(socket)
  }

  async #pageFor(request: http.IncomingMessage): Promise<Page> {
    const guard = this.#guard
    const { path } = targetOf(request)
    return this.#api.owns(path)
      ? jsonPage(await this.#api.answer(request, guard))
      : pageFor(request, guard, this.#parts)
  }
}

async function closeServer(server: http.Server | https.Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/** Calls back when all of a request is there: at once where it has no body. */
function onceWhole(request: http.IncomingMessage, onWhole: () => void): void {
  if (hasBody(request)) request.once('end', onWhole)
  else onWhole()
}

function readCertificate({ cert, key }: NonNullable<AdminConfig['tls']>) {
  return { cert: readRegularFile(cert), key: readRegularFile(key) }
}
