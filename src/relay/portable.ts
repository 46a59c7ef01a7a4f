/**
 * The relay in TypeScript: it works on every system, over TCP, TLS and unix sockets.
 *
 *     client --data--> write --> upstream     write says "full": stop reading the client until upstream drains
 *     client --FIN---> end() --> upstream     the other direction goes on (half-close)
 *     client --RST---> reset --> upstream     at once, both ways are over
 *
 * The listeners are shared functions that find their flow on the socket: an idle tunnel costs a few small objects.
 */

import { closeFrame } from './control-frames.ts'
import { Flow, type FlowOwner } from './flow.ts'
import { isDead, watchByTcp } from './keepalive.ts'
import type { Ending, RelaySocket, Side, Tunnel, TunnelListener, TunnelStart } from './relay.ts'
import { resetSocket } from './reset.ts'
import type { Sweep, Swept } from './sweep.ts'
import type { SeenClose, TunnelEnd, TunnelReading, WebSocketReading } from './tunnel-end.ts'
import type { CloseFrame, KeepalivePolicy, OwnReason, TunnelPolicy } from './tunnel-policy.ts'

const kFlow = Symbol('upgate.flow')
const kTunnel = Symbol('upgate.tunnel')

type Relayed = RelaySocket & { [kFlow]: Flow; [kTunnel]: PortableTunnel }

/** Joins two sockets; see `Relay`. `sweep` keeps the times. */
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

class PortableTunnel implements Tunnel, Swept, FlowOwner {
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
  /** What the peers are told, once the tunnel is closed with it. */
  #closeFrame: CloseFrame | undefined
  #seenClose: SeenClose | undefined
  #end: TunnelEnd | undefined

  constructor(client: RelaySocket, upstream: RelaySocket, start: TunnelStart, sweep: Sweep) {
    const { frames: hasFrames } = start.policy
    this.#policy = start.policy
    this.#listener = start.listener
    this.#sweep = sweep
    this.#up = new Flow(this, 'client', { from: client, to: upstream, hasFrames })
    this.#down = new Flow(this, 'upstream', { from: upstream, to: client, hasFrames })
  }

  get bytesUp(): number {
    return this.#up.bytes
  }

  get bytesDown(): number {
    return this.#down.bytes
  }

  get shortestMs(): number {
    const { idleMs, lifetimeMs, keepalive, frames } = this.#policy
    const { pingMs = Infinity, timeoutMs = Infinity } = (frames ? keepalive : undefined) ?? {}
    return Math.min(idleMs, lifetimeMs, pingMs, timeoutMs)
  }

  start(client: Side, upstream: Side): void {
    const { keepalive } = this.#policy
    if (keepalive !== undefined) watchByTcp(client.socket, keepalive)
    if (keepalive?.upstream === true) watchByTcp(upstream.socket, keepalive)
    attach(this, this.#up)
    attach(this, this.#down)
    begin(this.#up, client)
    begin(this.#down, upstream)
    // Of sockets that were closed already it is over by now.
    if (this.#openSockets > 0) this.#sweep.watch(this)
  }

  read(): TunnelReading {
    if (this.#end !== undefined) return this.#end
    const nowMs = performance.now()
    const firstMs = ({ firstAtMs }: Flow): number | undefined =>
      firstAtMs === undefined ? undefined : firstAtMs - this.#bornAtMs
    return {
      bytesUp: this.#up.bytes,
      bytesDown: this.#down.bytes,
      firstUpMs: firstMs(this.#up),
      firstDownMs: firstMs(this.#down),
      silentUpMs: this.#up.silentMs(nowMs),
      silentDownMs: this.#down.silentMs(nowMs),
      webSocket: this.#readFrames(),
    }
  }

  #readFrames(): WebSocketReading | undefined {
    const [up, down] = [this.#up.scanner?.counts(), this.#down.scanner?.counts()]
    if (up === undefined || down === undefined) return undefined
    return { up, down, close: this.#seenClose }
  }

  close(by: 'gateway' | 'admin', reason: OwnReason, { frame, timeoutMs }: Ending): void {
    if (this.#openSockets === 0) return
    const { isClosing } = this
    clearTimeout(this.#closeTimer)
    this.#closeTimer = setTimeout(resetBoth, timeoutMs, this.#up)
    if (isClosing) return
    this.note(by, reason)
    if (frame !== undefined && this.#policy.frames) this.#closeWith(frame)
    else this.#closeBare()
  }

  #closeBare(): void {
    for (const { from } of [this.#up, this.#down]) {
      // What still comes has nowhere to go: read and drop it, so that the peer's FIN is seen.
      from.off('data', onData)
      from.off('drain', onDrain)
      from.end()
      from.resume()
    }
  }

  #closeWith(frame: CloseFrame): void {
    this.#closeFrame = frame
    for (const flow of [this.#up, this.#down]) {
      if (!flow.isShut) flow.close(closeFrame(frame, flow.isMasked))
    }
  }

  look(nowMs: number): void {
    // The grace runs from the first time that a limit is over.
    if (this.isClosing) return
    const { idleMs, lifetimeMs, keepalive, frames } = this.#policy
    this.#up.look(nowMs)
    this.#down.look(nowMs)
    const movedAtMs = Math.max(this.#up.movedAtMs, this.#down.movedAtMs)
    if (nowMs - this.#bornAtMs >= lifetimeMs) this.#expire('lifetime')
    else if (nowMs - movedAtMs >= idleMs) this.#expire('idle')
    else if (frames && keepalive !== undefined) this.#lookForDead(nowMs, keepalive)
  }

  #expire(reason: OwnReason): void {
    const { closeFrames, closeTimeoutMs: timeoutMs } = this.#policy
    this.close('gateway', reason, { frame: closeFrames[reason], timeoutMs })
  }

  /** Pings whoever is silent; ends the tunnel when one does not answer. */
  #lookForDead(nowMs: number, keepalive: KeepalivePolicy): void {
    for (const from of keepalive.upstream ? [this.#up, this.#down] : [this.#up]) {
      const to = this.#opposite(from)
      if (!isDead(from, to, nowMs, keepalive)) continue
      this.#bury(from)
      return
    }
  }

  /** Nobody is there any more who could be told: the other one is. */
  #bury(dead: Flow): void {
    dead.ended = true
    this.#opposite(dead).shut()
    this.#expire('dead')
    if (!dead.isShut) dead.end()
    resetSocket(dead.from)
  }

  onCloseCode(by: 'client' | 'upstream', code: number): void {
    this.#seenClose ??= { by, code }
  }

  onPinged(flow: Flow): void {
    this.#opposite(flow).awaitPong()
  }

  onShut(flow: Flow, isTold: boolean): void {
    if (isTold && this.#closeFrame !== undefined) {
      this.#seenClose ??= { by: this.#by, code: this.#closeFrame.code }
    }
    this.onFiltered(this.#opposite(flow))
  }

  /** Whoever gets nothing more, and has said its own last word, gets the FIN. */
  onFiltered(flow: Flow): void {
    const { isShut, scanner } = this.#opposite(flow)
    if (!isShut || !this.isClosing) return
    // A blind direction has no border for a Close frame of ours, and shows none of its own.
    const isBlind = scanner?.blind === true
    if (flow.ended || flow.scanner?.isDone === true || isBlind) flow.from.end()
  }

  /** The FIN of `flow.from`. */
  onFin(flow: Flow): void {
    if (flow.ended) return
    this.note(flow.by, 'eof')
    flow.end()
    this.onFiltered(flow)
  }

  onBroken(flow: Flow, reason: 'reset' | 'error', cause: string): void {
    if (cause === 'ETIMEDOUT' && this.#isWatched(flow)) return this.#giveUp(flow, cause)
    this.note(flow.by, reason, cause)
    // Who is told that the tunnel ends may answer in peace, unless it has got a part of a frame.
    if (!this.#isTelling || !flow.isShut) resetSocket(flow.to)
  }

  /** TCP has found that a peer which is watched is not there any more. */
  #giveUp(dead: Flow, cause: string): void {
    this.note('gateway', 'dead', cause)
    if (this.#policy.frames && !this.isClosing) this.#bury(dead)
    else if (!this.#isTelling || !dead.isShut) resetSocket(dead.to)
  }

  #isWatched({ by }: Flow): boolean {
    const { keepalive } = this.#policy
    return keepalive !== undefined && (by === 'client' || keepalive.upstream)
  }

  /** The socket `flow.from` is closed. */
  onGone(flow: Flow): void {
    if (!flow.ended && !this.isClosing) this.onBroken(flow, 'error', 'closed without a FIN')
    flow.ended = true
    // What the other one still has to say need not wait for a reader.
    if (this.#isTelling) this.#opposite(flow).shut()
    this.#openSockets -= 1
    if (this.#openSockets === 0) this.#finish()
  }

  /** The first cause of the end is kept, save that anything outranks an orderly FIN. */
  note(by: TunnelEnd['by'], reason: TunnelEnd['reason'], cause?: string): void {
    if (this.#reason !== undefined && this.#reason !== 'eof') return
    if (this.#reason === 'eof' && reason === 'eof') return
    this.#by = by
    this.#reason = reason
    this.#cause = cause
  }

  #finish(): void {
    clearTimeout(this.#closeTimer)
    this.#sweep.unwatch(this)
    const end: TunnelEnd = {
      by: this.#by,
      reason: this.#reason ?? 'error',
      ...this.read(),
      durationMs: performance.now() - this.#bornAtMs,
      ...(this.#cause === undefined ? {} : { cause: this.#cause }),
    }
    this.#end = end
    // Of sockets that were closed already it would come before the tunnel is there.
    queueMicrotask(() => this.#listener.onEnd(end))
  }

  get isClosing(): boolean {
    return this.#closeTimer !== undefined
  }

  /** The peers are told by Close frames that the tunnel ends. */
  get #isTelling(): boolean {
    return this.#closeFrame !== undefined
  }

  #opposite(flow: Flow): Flow {
    return flow === this.#up ? this.#down : this.#up
  }
}

function attach(tunnel: PortableTunnel, flow: Flow): void {
  const socket = flow.from as Relayed
  socket[kTunnel] = tunnel
  socket[kFlow] = flow
  socket.on('error', onError)
  socket.on('close', onClose)
  socket.on('drain', onDrain)
  socket.on('end', onEnd)
}

/** Passes on what was read too early, then lets the rest flow. */
function begin(flow: Flow, side: Side): void {
  const { from } = flow
  let isFull = false
  for (const chunk of side.unread) isFull = !flow.pass(chunk)
  from.on('data', onData)
  if (side.ended) onEnd.call(from as Relayed)
  if (isFull) from.pause()
  else from.resume()
  // A socket that died between two steps tells nobody any more: its 'close' has passed already.
  if (from.destroyed && from.closed) onClose.call(from as Relayed)
}

function onData(this: RelaySocket, chunk: Buffer): void {
  if (!(this as Relayed)[kFlow].pass(chunk)) this.pause()
}

function onDrain(this: RelaySocket): void {
  ;(this as Relayed)[kFlow].to.resume()
}

function onEnd(this: RelaySocket): void {
  const { [kTunnel]: tunnel, [kFlow]: flow } = this as Relayed
  tunnel.onFin(flow)
}

function onError(this: RelaySocket, { code, message }: NodeJS.ErrnoException): void {
  const { [kTunnel]: tunnel, [kFlow]: flow } = this as Relayed
  const isReset = code === 'ECONNRESET' || code === 'EPIPE'
  tunnel.onBroken(flow, isReset ? 'reset' : 'error', code ?? message)
}

function onClose(this: RelaySocket): void {
  const { [kTunnel]: tunnel, [kFlow]: flow } = this as Relayed
  tunnel.onGone(flow)
}

function resetBoth(flow: Flow): void {
  resetSocket(flow.from)
  resetSocket(flow.to)
}
