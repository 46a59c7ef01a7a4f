/** Starts and stops everything, in order, and wires the parts together once. */

import { startAdmin, type Admin } from './admin/server.ts'
import { startEcho, type Echo } from './builtin/echo.ts'
import type { Address, Config } from './config/config.ts'
import { decide, type Decision } from './decide.ts'
import type { Refusal } from './errors.ts'
import { serializeHead } from './handshake/answer.ts'
import { refusalAnswer } from './handshake/refuse.ts'
import { Forwarder } from './http/forward.ts'
import { startListener, type Listener, type ListenHandlers } from './listen/listener.ts'
import { servePlain, serveRefused } from './plain.ts'
import { buildPlane, type Plane } from './plane.ts'
import type { Client } from './handshake/client.ts'
import type { Dialer } from './relay/dialer.ts'
import { startEngine, type Engine } from './relay/engine.ts'
import type { Relay } from './relay/relay.ts'
import { createLogger, type Logger } from './report/logger.ts'
import { createMetrics, type Metrics } from './report/metrics.ts'
import { Report } from './report/report.ts'
import { version as gatewayVersion } from './report/version.ts'
import { randomUUID } from 'node:crypto'
import { drain } from './tunnels/drain.ts'
import { Expiry } from './tunnels/expiry.ts'
import { Registry } from './tunnels/registry.ts'
import { serveUpgrade, takeClient, type Exchanges } from './upgrade.ts'

export interface Gateway {
  /** Where it listens, in the order of the config, with the real ports. */
  readonly addresses: readonly Address[]
  readonly adminAddress: Address | undefined
  readonly openTunnels: number
  /**
   * Not ready and not accepting from now on; requests in progress finish, tunnels are closed evenly over
   * `shutdown.drain`, or what is left of them at its end. Fulfilled when nothing is left.
   */
  stop(): Promise<void>
  /** Stops at once: what is open is cut. */
  destroy(): Promise<void>
}

export interface GatewayOptions {
  /** Where log lines go in place of stdout. */
  readonly logDestination?: NodeJS.WritableStream
}

/** Rejects when an address cannot be bound or a file cannot be read; nothing stays open then. */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const gateway = new RunningGateway(config, options)
  try {
    await gateway.start()
  } catch (error) {
    await gateway.destroy()
    throw error
  }
  return gateway
}

class RunningGateway implements Gateway, Exchanges {
  readonly registry = new Registry()
  readonly expiry = new Expiry()
  readonly forwarder = new Forwarder()
  readonly report: Report
  readonly #config: Config
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #engine: Engine
  readonly #listeners: Listener[] = []
  /** Handshakes in progress; drain waits for them like for plain requests. */
  readonly #handshakes = new Map<Promise<void>, Client>()
  #plane: Plane | undefined
  #admin: Admin | undefined
  #echo: Echo | undefined
  #draining = false
  #destroyed: Promise<void> | undefined

  constructor(config: Config, { logDestination }: GatewayOptions) {
    this.#config = config
    this.#engine = startEngine(config.relay)
    this.#log = createLogger(config.log, logDestination)
    this.#metrics = createMetrics({
      routes: config.routes,
      relay: this.#engine,
      openTunnels: () => this.registry,
      endpoints: () => this.#plane?.endpoints() ?? [],
    })
    this.report = new Report(this.#log, this.#metrics)
  }

  get addresses(): readonly Address[] {
    return this.#listeners.map((listener) => listener.address)
  }

  get adminAddress(): Address | undefined {
    return this.#admin?.address
  }

  get relay(): Relay {
    return this.#engine.relay
  }

  get dialer(): Dialer | undefined {
    return this.#engine.dialer
  }

  get openTunnels(): number {
    return this.registry.size
  }

  get bufferBytes(): number {
    return this.#config.relay.bufferBytes
  }

  get draining(): boolean {
    return this.#draining
  }

  async start(): Promise<void> {
    const config = this.#config
    if (usesEcho(config)) this.#echo = await startEcho()
    const plane = await buildPlane(config, {
      log: this.#log,
      builtinAddress: () => (this.#echo as Echo).address,
      onEndpointChange: (upstream, endpoint, up) =>
        this.report.endpointChanged(upstream, endpoint, up),
    })
    this.#plane = plane
    const { acceptor } = this.#engine
    const options = { highWaterMark: config.relay.bufferBytes, acceptor }
    for (const listener of config.listeners) {
      const handlers = this.#handlers(plane)
      this.#listeners.push(await startListener(listener, options, handlers))
    }
    if (config.admin !== undefined) this.#admin = await this.#startAdmin(config.admin)
    this.#tellStart()
  }

  /** Where to look, in the order in which an operator does. */
  #tellStart(): void {
    this.#config.listeners.forEach(({ tls }, index) => {
      const { address } = this.#listeners[index] as Listener
      this.#log.info({ url: urlOf(address, tls === undefined ? 'http' : 'https') }, 'listening')
    })
    const { adminAddress } = this
    if (adminAddress !== undefined) {
      this.#log.info(
        {
          url:
            adminAddress.kind === 'unix'
              ? urlOf(adminAddress, 'http')
              : `${urlOf(adminAddress, 'http')}metrics`,
        },
        'admin listening',
      )
    }
    const { version } = process
    const { name: relay, why } = this.#engine
    this.#log.info({ version: gatewayVersion, node: version, relay, why }, 'ready')
  }

  #startAdmin(config: NonNullable<Config['admin']>): Promise<Admin> {
    return startAdmin(config, {
      metrics: () => this.#metrics.text(),
      contentType: this.#metrics.contentType,
      isReady: () => !this.#draining,
    })
  }

  #handlers(plane: Plane): ListenHandlers<Decision> {
    return {
      decide: (head, connection) => decide(plane, head, connection),
      upgrade: (decision, arrival) => {
        if (!decision.upgrades) throw new Error('the listener upgrades what was not to be upgraded')
        const client = takeClient(decision, arrival)
        const done = serveUpgrade(this, decision, client)
        this.#handshakes.set(done, client)
        void done.finally(() => this.#handshakes.delete(done))
      },
      plain: (decision, request, response) => {
        if ('refusal' in decision) void serveRefused(this, decision, request, response)
        else if (!decision.upgrades) void servePlain(this, decision, request, response)
      },
      broken: (refusal, peerAddress) => this.#answerBroken(refusal, peerAddress),
    }
  }

  #answerBroken(refusal: Refusal, peerAddress: string): string {
    const requestId = randomUUID()
    this.report.broken({ requestId, clientIp: peerAddress, refusal })
    const answer = refusalAnswer(refusal, requestId)
    const head = serializeHead({ ...answer, fields: [...answer.fields, 'Connection', 'close'] })
    return Buffer.isBuffer(answer.body) ? head + answer.body.toString('latin1') : head
  }

  async stop(): Promise<void> {
    const { drainMs, spread } = this.#config.shutdown
    this.#draining = true
    this.#log.info({ tunnels: this.registry.size, drainMs }, 'draining')
    const settled = Promise.all([
      ...this.#listeners.map((listener) => listener.stopAccepting()),
      this.#handshakesDone(),
    ])
    await drain(this.registry, {
      drainMs,
      spread,
      settled,
      onProgress: (progress) => this.#log.info({ reason: 'drain', ...progress }, 'closing tunnels'),
    })
    await this.destroy()
  }

  async #handshakesDone(): Promise<void> {
    while (this.#handshakes.size > 0) await Promise.all(this.#handshakes.keys())
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy()
    return this.#destroyed
  }

  async #destroy(): Promise<void> {
    this.#draining = true
    for (const listener of this.#listeners) listener.destroy()
    for (const client of this.#handshakes.values()) client.destroy()
    await this.#handshakesDone()
    for (const tunnel of this.registry) tunnel.cut('gateway', 'drain')
    await this.registry.empty()
    this.forwarder.close()
    this.#plane?.close()
    await this.#admin?.close()
    await this.#echo?.close()
    this.#engine.stop()
    await this.#log.flush()
  }
}

/** An URL that can be opened on this machine: the wildcard addresses are no place to go to. */
function urlOf(address: Address, scheme: 'http' | 'https'): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const isWildcard = address.host === '0.0.0.0' || address.host === '::'
  const host = isWildcard ? 'localhost' : address.host
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${address.port}/`
}

function usesEcho(config: Config): boolean {
  return [...config.upstreams.values()].some((upstream) =>
    upstream.endpoints.some((endpoint) => endpoint.address.kind === 'builtin'),
  )
}
