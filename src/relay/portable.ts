/**
 * The relay in TypeScript: it works on every system, over TCP, TLS and unix sockets.
 *
 *     client --data--> write --> upstream     write says "full": stop reading the client until upstream drains
 *     client --FIN---> end() --> upstream     the other direction goes on (half-close)
 *     client --RST---> reset --> upstream     at once, both ways are over
 *
 * The listeners are shared functions that find their flow on the socket: an idle tunnel costs two small objects.
 */

import type { Socket } from 'node:net'
import type { Ending, Side, Tunnel, TunnelListener, TunnelStart } from './relay.ts'
import { resetSocket } from './reset.ts'
import type { Sweep, Swept } from './sweep.ts'
import type { TunnelEnd, TunnelReading } from './tunnel-end.ts'
import type { OwnReason, TunnelPolicy } from './tunnel-policy.ts'

const kFlow = Symbol('upgate.flow')

type Relayed = Socket & { [kFlow]: Flow }

/** What comes from one socket. */
interface Flow {
  readonly tunnel: PortableTunnel
  readonly by: 'client' | 'upstream'
  readonly from: Socket
  readonly to: Socket
  bytes: number
  ended: boolean
}

/** Joins two sockets; see `Relay`. `sweep` keeps the limits. */
export function relayPortably(
  client: Side,
  upstream: Side,
  start: TunnelStart,
  sweep: Sweep,
): Tunnel {
  const tunnel = new PortableTunnel(client.socket, upstream.socket, start, sweep)
  client.socket.write(start.head, 'latin1')
  tunnel.start(client, upstream)
  return tunnel
}

class PortableTunnel implements Tunnel, Swept {
  readonly idleMs: number
  readonly lifetimeMs: number
  readonly #sweep: Sweep
  readonly #up: Flow
  readonly #down: Flow
  readonly #bornAtMs = performance.now()
  readonly #policy: TunnelPolicy
  readonly #listener: TunnelListener
  #openSockets = 2
  #by: TunnelEnd['by'] = 'gateway'
  #reason: TunnelEnd['reason'] | undefined
  #cause: string | undefined
  #closeTimer: NodeJS.Timeout | undefined

  constructor(client: Socket, upstream: Socket, start: TunnelStart, sweep: Sweep) {
    this.idleMs = start.policy.idleMs
    this.lifetimeMs = start.policy.lifetimeMs
    this.#policy = start.policy
    this.#sweep = sweep
    this.#up = { tunnel: this, by: 'client', from: client, to: upstream, bytes: 0, ended: false }
    this.#down = {
      tunnel: this,
      by: 'upstream',
      from: upstream,
      to: client,
      bytes: 0,
      ended: false,
    }
    this.#listener = start.listener
  }

  get bytesUp(): number {
    return this.#up.bytes
  }

  get bytesDown(): number {
    return this.#down.bytes
  }

  start(client: Side, upstream: Side): void {
    attach(this.#up)
    attach(this.#down)
    begin(this.#up, client)
    begin(this.#down, upstream)
    this.#sweep.watch(this)
  }

  read(): TunnelReading {
    return {
      bytesUp: this.#up.bytes,
      bytesDown: this.#down.bytes,
      firstUpMs: undefined,
      firstDownMs: undefined,
      silentUpMs: 0,
      silentDownMs: 0,
      webSocket: undefined,
    }
  }

  close(by: 'gateway' | 'admin', reason: OwnReason, { timeoutMs }: Ending): void {
    if (this.#openSockets === 0) return
    this.note(by, reason)
    clearTimeout(this.#closeTimer)
    this.#closeTimer = setTimeout(resetBoth, timeoutMs, this.#up)
    for (const { from } of [this.#up, this.#down]) {
      // What still comes has nowhere to go: read and drop it, so that the peer's FIN is seen.
      from.off('data', onData)
      from.off('drain', onDrain)
      from.end()
      from.resume()
    }
  }

  expire(reason: 'idle' | 'lifetime'): void {
    // The sweep says so again and again; the grace runs from the first time.
    if (!this.isClosing) {
      const { closeFrames, closeTimeoutMs: timeoutMs } = this.#policy
      this.close('gateway', reason, { frame: closeFrames[reason], timeoutMs })
    }
  }

  /** The first cause of the end is kept, save that anything outranks an orderly FIN. */
  note(by: TunnelEnd['by'], reason: TunnelEnd['reason'], cause?: string): void {
    if (this.#reason !== undefined && this.#reason !== 'eof') return
    if (this.#reason === 'eof' && reason === 'eof') return
    this.#by = by
    this.#reason = reason
    this.#cause = cause
  }

  socketClosed(): void {
    this.#openSockets -= 1
    if (this.#openSockets > 0) return
    clearTimeout(this.#closeTimer)
    this.#sweep.unwatch(this)
    const end: TunnelEnd = {
      by: this.#by,
      reason: this.#reason ?? 'error',
      ...this.read(),
      durationMs: performance.now() - this.#bornAtMs,
      ...(this.#cause === undefined ? {} : { cause: this.#cause }),
    }
    // Of sockets that were closed already it would come before the tunnel is there.
    queueMicrotask(() => this.#listener.onEnd(end))
  }

  get isClosing(): boolean {
    return this.#closeTimer !== undefined
  }
}

function attach(flow: Flow): void {
  const socket = flow.from as Relayed
  socket[kFlow] = flow
  socket.on('error', onError)
  socket.on('close', onClose)
  socket.on('drain', onDrain)
  socket.on('end', onEnd)
}

/** Passes on what was read too early, then lets the rest flow. */
function begin(flow: Flow, side: Side): void {
  const { from, to } = flow
  let isFull = false
  for (const chunk of side.unread) {
    flow.bytes += chunk.length
    isFull = !to.write(chunk)
  }
  from.on('data', onData)
  if (side.ended) onEnd.call(from as Relayed)
  if (isFull) from.pause()
  else from.resume()
  // A socket that died between two steps tells nobody any more: its 'close' has passed already.
  if (from.destroyed && from.closed) onClose.call(from as Relayed)
}

function onData(this: Socket, chunk: Buffer): void {
  const flow = (this as Relayed)[kFlow]
  flow.bytes += chunk.length
  if (!flow.to.write(chunk)) this.pause()
}

function onDrain(this: Socket): void {
  ;(this as Relayed)[kFlow].to.resume()
}

function onEnd(this: Socket): void {
  const flow = (this as Relayed)[kFlow]
  if (flow.ended) return
  flow.ended = true
  flow.tunnel.note(flow.by, 'eof')
  flow.to.end()
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  const flow = (this as Relayed)[kFlow]
  const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE'
  flow.tunnel.note(flow.by, isReset ? 'reset' : 'error', error.code ?? error.message)
  resetSocket(flow.to)
}

function onClose(this: Socket): void {
  const flow = (this as Relayed)[kFlow]
  if (!flow.ended && !flow.tunnel.isClosing) {
    flow.tunnel.note(flow.by, 'error', 'closed without a FIN')
    resetSocket(flow.to)
  }
  flow.tunnel.socketClosed()
}

function resetBoth(flow: Flow): void {
  resetSocket(flow.from)
  resetSocket(flow.to)
}
