/**
 * The relay in C, seen from here: its threads accept clients, dial endpoints and move the bytes of tunnels, and
 * JavaScript hears of each of them when there is something to decide, and when it has ended. What a thread cannot have
 * (TLS, a socket with bytes that node has yet to write) goes to the portable relay.
 */

import { getSystemErrorName } from 'node:util'
import { clientDescriptors } from '../descriptors.ts'
import type {
  Accepting,
  Acceptor,
  AcceptLimits,
  AcceptOptions,
  HeldConnection,
  HeldListener,
  NotAccepted,
} from './acceptor.ts'
import { EVENT_ENDED, EVENT_REQUEST, READING_NUMBERS } from './binding.ts'
import type { Binding, PolicyHandle, RelayEvent, RelayHandle } from './binding.ts'
import { descriptorOf, unreadText, withUnread } from './descriptor.ts'
import type { Dialed, Dialer, DialListener, DialRequest } from './dialer.ts'
import { lendPlace, NativeConnection, NativeSide } from './native-connection.ts'
import { NativeTunnel } from './native-tunnel.ts'
import type { Relay, Side, Tunnel, TunnelStart } from './relay.ts'
import type { TunnelPolicy } from './tunnel-policy.ts'

export interface NativeOptions {
  readonly threads: number
  readonly bufferBytes: number
  /** For what cannot be handed over. */
  readonly portable: Relay
}

/** How often the threads are told which descriptors are not for them. */
const SPARE_MS = 1000

/** What stands behind a number of the binding's. */
export interface Entry {
  onEvent(event: RelayEvent): void
}

/** Who accepts. */
interface Door {
  readonly onClient: (connection: HeldConnection) => HeldListener
  readonly highWaterMark: number
  /** A client whose socket became node's counts no more. Undefined until it accepts. */
  leave: ((peerAddress: string) => void) | undefined
}

/** Throws when the threads cannot be started. */
export class NativeRelay implements Dialer, Acceptor {
  readonly binding: Binding
  readonly handle: RelayHandle
  /** The numbers of the tunnel that was read or has ended last. */
  readonly reading = new Float64Array(READING_NUMBERS)
  readonly #policies = new WeakMap<TunnelPolicy, PolicyHandle>()
  readonly #entries: (Entry | undefined)[] = []
  readonly #doors: Door[] = []
  readonly #bufferBytes: number
  readonly #portable: Relay
  readonly #spareTimer: NodeJS.Timeout
  #isStopped = false

  constructor(binding: Binding, { threads, bufferBytes, portable }: NativeOptions) {
    this.binding = binding
    this.#bufferBytes = bufferBytes
    this.#portable = portable
    this.handle = binding.start(threads, bufferBytes, this.#onEvent, this.reading)
    this.#spare()
    this.#spareTimer = setInterval(() => this.#spare(), SPARE_MS).unref()
  }

  /** Ends the threads. No tunnel may be open. */
  stop(): void {
    this.#isStopped = true
    clearInterval(this.#spareTimer)
    this.binding.stop(this.handle)
  }

  /** Operators may raise the limit of a process that runs. */
  #spare(): void {
    this.binding.spare(this.handle, clientDescriptors() ?? 0)
  }

  /** See `Relay`. */
  readonly relay: Relay = (client, upstream, start) => this.#open(client, upstream, start)

  accept(
    options: AcceptOptions,
    onClient: (connection: HeldConnection) => HeldListener,
  ): Accepting {
    const { binding, handle } = this
    const { fd, headTimeoutMs, connectionsMax, shareMax, exempt } = options
    const door: Door = { onClient, highWaterMark: options.highWaterMark, leave: undefined }
    const tag = this.#doors.push(door) - 1
    const listener = binding.listen(
      handle,
      fd,
      tag,
      headTimeoutMs,
      connectionsMax,
      shareMax,
      exempt,
    )
    if (typeof listener === 'number') {
      const code = getSystemErrorName(listener)
      throw Object.assign(new Error(`${code}: cannot accept clients`), { code, syscall: 'listen' })
    }
    door.leave = (peerAddress) => {
      if (!this.#isStopped) binding.leave(handle, listener, peerAddress)
    }
    const isStopped = (): boolean => this.#isStopped
    return {
      get refused(): NotAccepted {
        if (isStopped()) return { full: 0, share: 0, starved: 0, address: '' }
        const [full, share, starved, address] = binding.refused(handle, listener)
        return { full, share, starved, address }
      },
      adjust: (limits: AcceptLimits) => {
        if (this.#isStopped) return
        binding.adjust(
          handle,
          listener,
          limits.headTimeoutMs,
          limits.connectionsMax,
          limits.shareMax,
          limits.exempt,
        )
      },
      stop: () => {
        if (!this.#isStopped) binding.unlisten(handle, listener)
      },
    }
  }

  dial(request: DialRequest, listener: DialListener): Dialed | string {
    const { target, client, head, connectMs, handshakeMs } = request
    const held = client instanceof NativeConnection ? client : undefined
    const isUnix = target.kind === 'unix'
    const [host, port] = isUnix ? [target.path, -1] : [target.host, target.port]
    const from = isUnix ? '' : (target.from ?? '')
    const { binding, handle } = this
    const owner = held?.id ?? -1
    const id = binding.dial(handle, owner, host, port, head, connectMs, handshakeMs, from)
    if (id < 0) return getSystemErrorName(id)
    const connection = held ?? new NativeConnection(this, id, { highWaterMark: this.#bufferBytes })
    this.#entries[id] = connection
    return connection.dialed(listener)
  }

  #open(client: Side, upstream: Side, start: TunnelStart): Tunnel {
    const heldClient = client instanceof NativeSide ? client.held : undefined
    const heldUpstream = upstream instanceof NativeSide ? upstream.held : undefined
    const clientFd = heldClient === undefined ? descriptorOf(client.socket) : -1
    const upstreamFd = heldUpstream === undefined ? descriptorOf(upstream.socket) : -1
    if (clientFd === undefined || upstreamFd === undefined) {
      return this.#portable(client, upstream, start)
    }
    const up = unreadText(client, heldClient)
    const down = unreadText(upstream, heldUpstream)
    const id = this.binding.open(
      this.handle,
      heldClient?.id ?? heldUpstream?.id ?? -1,
      clientFd,
      upstreamFd,
      start.head + down,
      up,
      down.length,
      this.#policyOf(start.policy),
    )
    // Without a descriptor or memory for it: the sockets are there already.
    if (id < 0) return this.#portable(withUnread(client, up), withUnread(upstream, down), start)
    const leave = clientFd < 0 ? undefined : (lendPlace(client.socket) ?? client.lend?.())
    const tunnel = new NativeTunnel(this, id, start, leave)
    this.#entries[id] = tunnel
    if (clientFd >= 0) client.socket.destroy()
    if (upstreamFd >= 0) upstream.socket.destroy()
    return tunnel
  }

  #policyOf(policy: TunnelPolicy): PolicyHandle {
    const known = this.#policies.get(policy)
    if (known !== undefined) return known
    const { idleMs, lifetimeMs, closeTimeoutMs, frames, keepalive, closeFrames } = policy
    const { idle, lifetime, dead } = closeFrames
    const handle = this.binding.policy(
      [
        idleMs,
        lifetimeMs,
        closeTimeoutMs,
        Number(frames),
        keepalive?.pingMs ?? Infinity,
        keepalive?.timeoutMs ?? Infinity,
        Number(keepalive?.upstream ?? false),
        idle.code,
        lifetime.code,
        dead.code,
      ],
      idle.text,
      lifetime.text,
      dead.text,
    )
    this.#policies.set(policy, handle)
    return handle
  }

  readonly #onEvent = (...event: RelayEvent): void => {
    const [kind, id] = event
    if (kind === EVENT_REQUEST) this.#onRequest(id, event)
    const entry = this.#entries[id]
    if (kind === EVENT_ENDED) this.#entries[id] = undefined
    entry?.onEvent(event)
  }

  /** The first one makes the client known. */
  #onRequest(id: number, event: Extract<RelayEvent, [typeof EVENT_REQUEST, ...unknown[]]>): void {
    if (this.#entries[id] !== undefined) return
    const [, , , , tag, peerAddress] = event
    const { onClient, highWaterMark, leave } = this.#doors[tag] as Door
    const connection = new NativeConnection(this, id, { highWaterMark, peerAddress, leave })
    connection.listener = onClient(connection)
    this.#entries[id] = connection
  }

  /** The dial failed and nobody else is there: the number is free. */
  forget(id: number): void {
    this.#entries[id] = undefined
  }
}
