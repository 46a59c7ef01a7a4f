/** Starts, reloads and stops everything, in order, and wires the parts together. */

import { Closings } from './admin/closings.ts'
import type { AdminParts } from './admin/server.ts'
import { startEcho, type Echo } from './builtin/echo.ts'
import type { Address, Config } from './config/config.ts'
import { diffConfigs } from './config/diff.ts'
import { maskConfig } from './config/mask.ts'
import { descriptorLimit, descriptorsNeeded } from './descriptors.ts'
import { Probes } from './handshake/probes.ts'
import { Forwarder } from './http/forward.ts'
import { serverAgent } from './http/server-agent.ts'
import { Http2Connections } from './http2/shared-connections.ts'
import { passedSockets } from './listen/activation.ts'
import { untaken } from './listen/bind.ts'
import type { Listener } from './listen/listener.ts'
import { Listeners } from './listen/listeners.ts'
import { ExhaustionWatch } from './listen/exhaustion-watch.ts'
import { RefusalWatch } from './listen/refusal-watch.ts'
import { CertificateWatch } from './listen/tls-watch.ts'
import { urlOf } from './listen/url.ts'
import { buildPlane, type Plane, type PlaneOptions } from './plane.ts'
import type { Dialer } from './relay/dialer.ts'
import { startEngine, type Engine } from './relay/engine.ts'
import type { Relay } from './relay/relay.ts'
import { AdminDoor, type AdminChange } from './reload/admin-door.ts'
import { filesOf } from './reload/config-files.ts'
import { FileWatch } from './reload/file-watch.ts'
import { problemsOf } from './reload/problems.ts'
import { Reloads, type ReloadOptions } from './reload/reloads.ts'
import { reloadFailed, reloadTaken, type ReloadResult } from './reload/result.ts'
import { createLogger, type Logger } from './report/logger.ts'
import { createMetrics, labelsOf, type Metrics } from './report/metrics.ts'
import { Report } from './report/report.ts'
import type { ReloadCause } from './report/reported.ts'
import { version as gatewayVersion } from './report/version.ts'
import { newPseudonym } from './request/via.ts'
import { Requests } from './requests.ts'
import { inSlices } from './slices.ts'
import { drain } from './tunnels/drain.ts'
import { Expiry } from './tunnels/expiry.ts'
import { Rebalancer } from './tunnels/rebalance.ts'
import { Reconciler, survey } from './tunnels/reconcile.ts'
import { Registry } from './tunnels/registry.ts'
import type { RunningTunnel } from './tunnels/tunnel.ts'
import type { Exchanges } from './upgrade.ts'

export interface Gateway {
  /** Where it listens, in the order of the config, with the real ports. */
  readonly addresses: readonly Address[]
  readonly adminAddress: Address | undefined
  readonly openTunnels: number
  /**
   * Takes another config into use: all of it, or, where something of it cannot be had, nothing. Never rejects. One reload
   * runs after the other.
   */
  reload(next: Config, options: ReloadOptions): Promise<ReloadResult>
  /** The same with what `load` reads then. Several that wait become one. */
  reloadFile(cause: ReloadCause, options?: { readonly dryRun?: boolean }): Promise<ReloadResult>
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
  /** Reads the config again; rejects when it is wrong, or `signal` is aborted. Without it no reload can be asked for but with a config. */
  readonly load?: Load
}

type Load = (signal: AbortSignal) => Promise<Config>

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

/** Tunnels without a place in a new config are closed over this time, or over `shutdown.drain` where that is shorter. */
const RELOAD_CLOSE_MS = 10_000

class RunningGateway implements Gateway, Exchanges {
  readonly registry = new Registry()
  readonly shared = new Http2Connections()
  readonly forwarder = new Forwarder(this.shared)
  readonly expiry: Expiry
  readonly report: Report
  readonly #load: Load | undefined
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #engine: Engine
  readonly #requests = new Requests(this, () => this.#plane as Plane)
  readonly #listeners: Listeners
  readonly #certificates: CertificateWatch
  readonly #refusals: RefusalWatch
  readonly #exhaustion: ExhaustionWatch
  readonly #admin: AdminDoor
  readonly #rebalancer: Rebalancer
  readonly #probes = new Probes(() => this.#plane?.pools.values() ?? [])
  readonly #reconciler = new Reconciler()
  readonly #closings: Closings
  readonly #reloads = new Reloads()
  /** Ends a load that is under way. */
  readonly #loading = new AbortController()
  readonly #planeOptions: PlaneOptions
  /** What is in force. */
  #config: Config
  #plane: Plane | undefined
  #echo: Echo | undefined
  #watch: FileWatch | undefined
  #draining = false
  #destroyed: Promise<void> | undefined

  constructor(config: Config, { logDestination, load }: GatewayOptions) {
    this.#config = config
    this.#load = load
    this.#engine = startEngine(config.relay)
    this.#log = createLogger(config.log, logDestination)
    this.#metrics = createMetrics({
      routes: config.routes,
      relay: this.#engine,
      openTunnels: () => this.registry,
      endpoints: () => this.#plane?.endpoints() ?? [],
      listeners: () => this.#listeners.states(),
    })
    const report = new Report(this.#log, this.#metrics)
    this.report = report
    this.expiry = new Expiry({
      onRecheckFailed: ({ route, id: tunnelId }, { check }, cause) =>
        report.recheckFailed({ route, check, tunnelId, cause }),
    })
    this.#closings = new Closings((closing) => report.drainProgress(closing))
    this.#rebalancer = new Rebalancer(this.registry, {
      onStuck: (upstream) => report.rebalanceStuck(upstream),
    })
    this.#planeOptions = {
      log: this.#log,
      agents: serverAgent,
      pseudonym: newPseudonym(),
      builtinAddress: () => (this.#echo as Echo).address,
      onEndpointChange: (...change) => report.endpointChanged(...change),
    }
    const { acceptor } = this.#engine
    const listenOptions = { highWaterMark: config.relay.bufferBytes, acceptor }
    this.#listeners = new Listeners(listenOptions, this.#requests)
    const listeners = (): readonly Listener[] => this.#listeners.current
    this.#certificates = new CertificateWatch({ listeners, report })
    this.#refusals = new RefusalWatch({ listeners, report })
    this.#exhaustion = new ExhaustionWatch({ listeners, report })
    this.#admin = new AdminDoor(this.#adminParts())
  }

  get addresses(): readonly Address[] {
    return this.#listeners.current.map((listener) => listener.address)
  }

  get adminAddress(): Address | undefined {
    return this.#admin.address
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
    // First of all: a change that comes during the start shall be seen.
    await this.#followFiles()
    await this.#startEcho(config)
    const plane = await buildPlane(config, this.#planeOptions)
    this.#plane = plane
    this.#rebalancer.reconfigure(config.upstreams, plane.pools)
    const listeners = await this.#listeners.prepare(config.listeners)
    listeners.apply()
    const admin = await this.#admin.prepare(config.admin)
    admin.apply()
    this.#tellListening(listeners.added, admin.added)
    const { version } = process
    const { name: relay, why } = this.#engine
    this.#log.info({ version: gatewayVersion, node: version, relay, why }, 'ready')
    this.#tellInsecure()
    this.#tellUntaken()
    this.#tellTooFewDescriptors()
    await this.#certificates.follow()
  }

  reload(next: Config, options: ReloadOptions): Promise<ReloadResult> {
    return this.#reloads.run(() => this.#tryReload(async () => next, options))
  }

  reloadFile(cause: ReloadCause, { dryRun = false } = {}): Promise<ReloadResult> {
    const load = async (): Promise<Config> => {
      if (this.#load === undefined) throw new Error('nobody has said how the config is read')
      return await this.#load(this.#loading.signal)
    }
    return this.#reloads.runShared(dryRun, () => this.#tryReload(load, { cause, dryRun }))
  }

  /** Never rejects: what is wrong is told to the log, the metrics and the caller. */
  async #tryReload(
    load: () => Promise<Config>,
    { cause, dryRun = false }: ReloadOptions,
  ): Promise<ReloadResult> {
    const { file } = this.#config
    let next: Config | undefined
    try {
      next = await load()
      const result = await this.#reload(next, dryRun)
      const { changes, closing: closed, needsRestart } = result
      if (!dryRun) {
        this.report.reloaded({ file, cause, changes: changes.length, closed })
        if (needsRestart.length > 0) this.report.keysNeedRestart(needsRestart)
      }
      return result
    } catch (error) {
      const problems = problemsOf(error, next)
      if (!dryRun) this.report.reloadFailed({ file, cause, problems: problems.join('\n') })
      return reloadFailed(dryRun, problems)
    }
  }

  /** Rejects when something of it cannot be had; everything is as before then. */
  async #reload(next: Config, dryRun: boolean): Promise<ReloadResult> {
    this.#refuseWhenDraining()
    const before = this.#plane as Plane
    const diff = await inSlices(diffConfigs(this.#config, next))
    const config = inForce(this.#config, next)
    await this.#startEcho(config)
    const plane = await buildPlane(config, this.#planeOptions, before)
    try {
      const { newCertificates, tunnels } = dryRun
        ? {
            ...this.#listeners.check(config.listeners),
            tunnels: await inSlices(survey(this.registry, plane)),
          }
        : await this.#takeIntoUse(config, plane)
      const certificates = newCertificates.map(({ address, config: { tls } }) =>
        urlOf(address, tls),
      )
      return reloadTaken(dryRun, { diff, certificates, tunnels })
    } finally {
      if (this.#plane !== plane) plane.close(before)
    }
  }

  /** What can fail comes first, and takes nothing away. */
  async #takeIntoUse(config: Config, plane: Plane) {
    const labels = await inSlices(labelsOf(config.routes))
    const listeners = await this.#listeners.prepare(config.listeners)
    let admin: AdminChange | undefined
    try {
      admin = await this.#admin.prepare(config.admin)
      this.#refuseWhenDraining()
    } catch (error) {
      listeners.cancel()
      admin?.cancel()
      throw error
    }
    // From here on nothing fails. What requests are served by changes before the next await: none comes in between.
    plane.replace(this.#plane as Plane)
    this.#plane = plane
    this.#config = config
    listeners.apply()
    admin.apply()
    this.#log.level = config.log.level
    const endpoints = [...plane.endpoints()].map(({ endpoint }) => endpoint)
    this.forwarder.follow(endpoints)
    this.shared.follow(endpoints)
    this.#rebalancer.reconfigure(config.upstreams, plane.pools)
    await inSlices(this.#metrics.reconfigure(labels))
    const overMs = Math.min(RELOAD_CLOSE_MS, config.shutdown.drainMs)
    const tunnels = await inSlices(this.#reconciler.reconcile(this.registry, plane, overMs))
    this.#tellInsecure()
    this.#tellUntaken()
    this.#tellTooFewDescriptors()
    this.#tellListening(listeners.added, admin.added)
    for (const {
      address,
      config: { tls },
    } of listeners.removed) {
      this.#log.info({ url: urlOf(address, tls) }, 'listening no more')
    }
    await this.#followFiles()
    await this.#certificates.follow()
    return { newCertificates: listeners.newCertificates, tunnels }
  }

  #refuseWhenDraining(): void {
    if (this.#draining) throw new Error('the gateway is shutting down')
  }

  /** A request that began before a reload may become a tunnel after it. */
  opened(tunnel: RunningTunnel): void {
    const plane = this.#plane as Plane
    if (plane.partsLike(tunnel.parts.config) !== tunnel.parts)
      this.#reconciler.settle(tunnel, plane)
  }

  async stop(): Promise<void> {
    const { drainMs, spread } = this.#config.shutdown
    this.#draining = true
    this.#log.info({ tunnels: this.registry.size, drainMs }, 'draining')
    this.#quiet()
    const settled = Promise.all([this.#listeners.stopAccepting(), this.#requests.done()])
    const onProgress = (progress: { left: number; of: number }): void =>
      this.report.drainProgress({ reason: 'drain', ...progress })
    await drain(this.registry, { drainMs, spread, settled, onProgress })
    await this.destroy()
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy()
    return this.#destroyed
  }

  async #destroy(): Promise<void> {
    this.#draining = true
    this.#quiet()
    await this.#reloads.idle()
    this.#listeners.destroy()
    this.#requests.destroy()
    await this.#requests.done()
    for (const tunnel of this.registry) tunnel.cut('gateway', 'drain')
    await this.registry.empty()
    this.expiry.close()
    this.forwarder.close()
    this.shared.destroy()
    this.#plane?.close()
    await this.#admin.close()
    await this.#echo?.close()
    this.#engine.stop()
    await this.#log.flush()
  }

  /** Nothing but the end of the gateway ends tunnels from now on. */
  #quiet(): void {
    this.#loading.abort(new Error('the gateway is shutting down'))
    this.#watch?.close()
    this.#watch = undefined
    this.#certificates.close()
    this.#refusals.close()
    this.#exhaustion.close()
    this.#reconciler.stop()
    this.#rebalancer.close()
    this.#probes.close()
    this.#closings.stop()
  }

  #adminParts(): AdminParts {
    return {
      metrics: () => this.#metrics.text(),
      contentType: this.#metrics.contentType,
      isReady: () => !this.#draining,
      api: {
        tunnels: this.registry,
        config: () => this.#config,
        describeConfig: () => maskConfig(this.#config),
        pools: () => (this.#plane as Plane).pools,
        reload: (options) => this.reloadFile('api', options),
        rebalancer: this.#rebalancer,
        closings: this.#closings,
        report: this.report,
      },
    }
  }

  async #startEcho(config: Config): Promise<void> {
    if (usesEcho(config)) this.#echo ??= await startEcho()
  }

  async #followFiles(): Promise<void> {
    if (!this.#config.reload.watch || this.#load === undefined || this.#draining) {
      this.#watch?.close()
      this.#watch = undefined
      return
    }
    this.#watch ??= new FileWatch({ onChange: () => void this.reloadFile('file') })
    await this.#watch.follow(filesOf(this.#config))
  }

  #tellInsecure(): void {
    for (const { name, tls } of this.#config.upstreams.values()) {
      if (tls.insecure) this.report.upstreamInsecure(name)
    }
  }

  /** Whoever connects there is never accepted. */
  #tellUntaken(): void {
    const sockets = untaken(passedSockets())
    if (sockets.length > 0) this.report.socketsUntaken(sockets)
  }

  #tellTooFewDescriptors(): void {
    const needed = descriptorsNeeded(this.#config)
    const limit = descriptorLimit()
    if (needed !== undefined && limit !== undefined && limit < needed) {
      this.report.tooFewDescriptors(limit, needed)
    }
  }

  /** Where to look, in the order in which an operator does. */
  #tellListening(listeners: readonly Listener[], admin: Address | undefined): void {
    for (const { address, config } of listeners) {
      this.#log.info({ url: urlOf(address, config.tls) }, 'listening')
    }
    if (admin === undefined) return
    const url = urlOf(admin, this.#config.admin?.tls)
    this.#log.info({ url: admin.kind === 'unix' ? url : `${url}metrics` }, 'admin listening')
  }
}

/** What a reload cannot change stays as it is; see `needsRestart`. */
function inForce(running: Config, next: Config): Config {
  return {
    ...next,
    relay: { ...running.relay, frames: next.relay.frames },
    log: { ...running.log, level: next.log.level },
  }
}

function usesEcho(config: Config): boolean {
  return [...config.upstreams.values()].some((upstream) =>
    upstream.endpoints.some((endpoint) => endpoint.address.kind === 'builtin'),
  )
}
