/** An open tunnel on a thread. */

import { getSystemErrorName } from 'node:util'
import { CLIENT, EVENT_ENDED, UPSTREAM, type RelayEvent } from './binding.ts'
import type { Entry, NativeRelay } from './native.ts'
import type { Ending, Tunnel, TunnelListener } from './relay.ts'
import type { EndedBy, EndReason, TunnelEnd, TunnelReading } from './tunnel-end.ts'
import type { OwnReason } from './tunnel-policy.ts'

/** In the order of `enum ended_by` and `enum end_reason` (native/relay.h); the reasons behind `lifetime` are words of ours. */
const ENDED_BY: readonly EndedBy[] = ['client', 'upstream', 'gateway', 'admin']
const END_REASONS: readonly EndReason[] = [
  'eof',
  'reset',
  'error',
  'idle',
  'lifetime',
  'drain',
  'expired',
  'reload',
  'kill',
  'rebalance',
]

export class NativeTunnel implements Tunnel, Entry {
  readonly #relay: NativeRelay
  readonly #id: number
  readonly #leave: (() => void) | undefined
  readonly #listener: TunnelListener
  #end: TunnelEnd | undefined

  /** `leave` is called at the end. */
  constructor(
    relay: NativeRelay,
    id: number,
    listener: TunnelListener,
    leave: (() => void) | undefined,
  ) {
    this.#relay = relay
    this.#id = id
    this.#leave = leave
    this.#listener = listener
  }

  get bytesUp(): number {
    return this.#end?.bytesUp ?? this.#bytes(CLIENT)
  }

  get bytesDown(): number {
    return this.#end?.bytesDown ?? this.#bytes(UPSTREAM)
  }

  read(): TunnelReading {
    const { bytesUp, bytesDown } = this
    return {
      bytesUp,
      bytesDown,
      firstUpMs: undefined,
      firstDownMs: undefined,
      silentUpMs: 0,
      silentDownMs: 0,
      webSocket: undefined,
    }
  }

  close(by: 'gateway' | 'admin', reason: OwnReason, { timeoutMs }: Ending): void {
    if (this.#end !== undefined) return
    const { binding, handle } = this.#relay
    binding.close(handle, this.#id, ENDED_BY.indexOf(by), END_REASONS.indexOf(reason), timeoutMs)
  }

  onEvent(event: RelayEvent): void {
    if (event[0] !== EVENT_ENDED) return
    const [, , by, reason, errno, bytesUp, bytesDown, durationMs] = event
    this.#end = {
      by: ENDED_BY[by] as EndedBy,
      reason: END_REASONS[reason] as EndReason,
      bytesUp,
      bytesDown,
      firstUpMs: undefined,
      firstDownMs: undefined,
      silentUpMs: 0,
      silentDownMs: 0,
      webSocket: undefined,
      durationMs,
      ...(errno === 0 ? {} : { cause: getSystemErrorName(-errno) }),
    }
    this.#leave?.()
    this.#listener.onEnd(this.#end)
  }

  #bytes(side: typeof CLIENT | typeof UPSTREAM): number {
    return this.#relay.binding.bytes(this.#relay.handle, this.#id, side)
  }
}
