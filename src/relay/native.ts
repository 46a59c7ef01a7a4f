/**
 * The relay in C: a tunnel of two plain sockets is handed over to a thread by its descriptors, and JavaScript hears of
 * it again when it has ended. What cannot be handed over (TLS, a socket with bytes that node has yet to write) goes to
 * the portable relay.
 *
 *     two sockets, or one and a dialed one --open--> thread --ended--> TunnelEnd
 */

import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { getSystemErrorName } from 'node:util'
import { EVENT_BYTES, EVENT_ENDED, EVENT_FAILED } from './binding.ts'
import type { Binding, RelayEvent, RelayHandle } from './binding.ts'
import type { Dialed, Dialer, DialListener, DialRequest } from './dialer.ts'
import type { Relay, Side, Tunnel, TunnelStart } from './relay.ts'
import type { EndedBy, EndReason, TunnelEnd } from './tunnel-end.ts'

/** In the order of `enum ended_by` and `enum end_reason` (native/relay.h); the reasons behind `lifetime` are the caller's words. */
const ENDED_BY: readonly EndedBy[] = ['client', 'upstream', 'gateway', 'admin']
const END_REASONS: readonly EndReason[] = ['eof', 'reset', 'error', 'idle', 'lifetime', 'drain']

export interface NativeOptions {
  readonly threads: number
  readonly bufferBytes: number
  /** For what cannot be handed over. */
  readonly portable: Relay
}

/** What stands behind a number of the binding's. */
interface Entry {
  onEvent(event: RelayEvent): void
}

/** Throws when the threads cannot be started. */
export class NativeRelay implements Dialer {
  readonly #binding: Binding
  readonly #handle: RelayHandle
  readonly #entries: (Entry | undefined)[] = []
  readonly #bufferBytes: number
  readonly #portable: Relay

  constructor(binding: Binding, { threads, bufferBytes, portable }: NativeOptions) {
    this.#binding = binding
    this.#bufferBytes = bufferBytes
    this.#portable = portable
    this.#handle = binding.start(threads, bufferBytes, this.#onEvent)
  }

  /** See `Relay`. */
  readonly relay: Relay = (client, upstream, start) =>
    this.#open(client, upstream, start) ?? this.#portable(client, upstream, start)

  dial(
    { target, head, connectMs, handshakeMs }: DialRequest,
    listener: DialListener,
  ): Dialed | string {
    const [host, port] = target.kind === 'unix' ? [target.path, -1] : [target.host, target.port]
    const id = this.#binding.dial(this.#handle, host, port, head, connectMs, handshakeMs)
    if (id < 0) return getSystemErrorName(id)
    const dialed = new NativeDial(this, id, listener)
    this.#entries[id] = dialed
    return dialed
  }

  /** Ends the threads. No tunnel may be open. */
  stop(): void {
    this.#binding.stop(this.#handle)
  }

  proceed(id: number, refresh: boolean): void {
    this.#binding.proceed(this.#handle, id, refresh)
  }

  abandon(id: number): void {
    this.#entries[id] = undefined
    this.#binding.close(this.#handle, id, ENDED_BY.indexOf('gateway'), 0, 0)
  }

  /** The connection of a dial as a socket of node's. */
  release(id: number): Socket {
    this.#entries[id] = undefined
    const fd = this.#binding.release(this.#handle, id)
    const options = { fd, allowHalfOpen: true, highWaterMark: this.#bufferBytes }
    return new Socket(options).on('error', ignore)
  }

  close(id: number, by: EndedBy, reason: EndReason, graceMs: number): void {
    this.#binding.close(
      this.#handle,
      id,
      ENDED_BY.indexOf(by),
      END_REASONS.indexOf(reason),
      graceMs,
    )
  }

  bytes(id: number, side: 0 | 1): number {
    return this.#binding.bytes(this.#handle, id, side)
  }

  /** Hands the sockets over; `undefined` when that cannot be, and they are untouched then. */
  #open(client: Side, upstream: Side, start: TunnelStart): Tunnel | undefined {
    const clientFd = descriptor(client)
    const dialed = upstream instanceof DialedSide && upstream.isOf(this) ? upstream : undefined
    const upstreamFd = dialed === undefined ? descriptor(upstream) : -1
    if (clientFd === undefined || upstreamFd === undefined) return undefined
    const up = unreadText(client)
    const down = dialed?.rest ?? unreadText(upstream)
    const id = this.#binding.open(
      this.#handle,
      dialed?.id ?? -1,
      clientFd,
      upstreamFd,
      start.head + down,
      up,
      down.length,
      start.idleMs,
      start.lifetimeMs,
    )
    if (id < 0) return undefined
    const leave = client.lend?.()
    client.socket.destroy()
    if (dialed === undefined) upstream.socket.destroy()
    const tunnel = new NativeTunnel(this, id, leave)
    this.#entries[id] = tunnel
    return tunnel
  }

  readonly #onEvent = (...event: RelayEvent): void => {
    const [kind, id] = event
    const entry = this.#entries[id]
    if (kind !== EVENT_BYTES) this.#entries[id] = undefined
    entry?.onEvent(event)
  }
}

/** A dial and what it was for. */
class NativeDial implements Dialed, Entry {
  readonly #relay: NativeRelay
  readonly #id: number
  readonly #listener: DialListener

  constructor(relay: NativeRelay, id: number, listener: DialListener) {
    this.#relay = relay
    this.#id = id
    this.#listener = listener
  }

  proceed(refresh: boolean): void {
    this.#relay.proceed(this.#id, refresh)
  }

  abandon(): void {
    this.#relay.abandon(this.#id)
  }

  side(rest: string, ended: boolean): Side {
    return new DialedSide(this.#relay, this.#id, rest, ended)
  }

  onEvent(event: RelayEvent): void {
    if (event[0] === EVENT_BYTES) this.#listener.onBytes(event[2], event[3])
    else if (event[0] === EVENT_FAILED) {
      const [, , stage, timedOut, errno] = event
      const where = stage === 0 ? 'connect' : 'answer'
      this.#listener.onFailed(where, getSystemErrorName(-errno), timedOut)
    }
  }
}

/** The upstream's side of a dial that was answered; it becomes a socket of node's only where somebody asks for one. */
class DialedSide implements Side {
  readonly id: number
  readonly rest: string
  readonly ended: boolean
  readonly #relay: NativeRelay
  #socket: Socket | undefined

  constructor(relay: NativeRelay, id: number, rest: string, ended: boolean) {
    this.#relay = relay
    this.id = id
    this.rest = rest
    this.ended = ended
  }

  isOf(relay: NativeRelay): boolean {
    return this.#relay === relay && this.#socket === undefined
  }

  get unread(): readonly Buffer[] {
    return this.rest === '' ? [] : [Buffer.from(this.rest, 'latin1')]
  }

  get socket(): Socket {
    this.#socket ??= this.#relay.release(this.id)
    return this.#socket
  }
}

class NativeTunnel implements Tunnel, Entry {
  readonly ended: Promise<TunnelEnd>
  readonly #relay: NativeRelay
  readonly #id: number
  readonly #leave: (() => void) | undefined
  #resolve!: (end: TunnelEnd) => void
  #end: TunnelEnd | undefined

  constructor(relay: NativeRelay, id: number, leave: (() => void) | undefined) {
    this.#relay = relay
    this.#id = id
    this.#leave = leave
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get bytesUp(): number {
    return this.#end?.bytesUp ?? this.#relay.bytes(this.#id, 0)
  }

  get bytesDown(): number {
    return this.#end?.bytesDown ?? this.#relay.bytes(this.#id, 1)
  }

  close(by: 'gateway' | 'admin', reason: EndReason, graceMs: number): void {
    if (this.#end === undefined) this.#relay.close(this.#id, by, reason, graceMs)
  }

  onEvent(event: RelayEvent): void {
    if (event[0] !== EVENT_ENDED) return
    const [, , by, reason, errno, bytesUp, bytesDown, durationMs] = event
    this.#end = {
      by: ENDED_BY[by] as EndedBy,
      reason: END_REASONS[reason] as EndReason,
      bytesUp,
      bytesDown,
      durationMs,
      ...(errno === 0 ? {} : { cause: getSystemErrorName(-errno) }),
    }
    this.#leave?.()
    this.#resolve(this.#end)
  }
}

/** Of a plain socket that nothing waits to be written to; `undefined` for every other one. */
function descriptor({ socket }: Side): number | undefined {
  if (socket instanceof TLSSocket || socket.writableLength > 0 || socket.writableEnded)
    return undefined
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } }
  const fd = handle?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

/** What was read too early, by others or by node itself. */
function unreadText({ socket, unread }: Side): string {
  let text = ''
  for (const chunk of unread) text += chunk.toString('latin1')
  for (let chunk = readBuffered(socket); chunk !== null; chunk = readBuffered(socket)) {
    text += chunk.toString('latin1')
  }
  return text
}

function readBuffered(socket: Socket): Buffer | null {
  return socket.readableLength === 0 ? null : (socket.read() as Buffer | null)
}

function ignore(): void {}
