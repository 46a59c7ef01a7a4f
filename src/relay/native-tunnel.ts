/** An open tunnel on a thread. */

import { getSystemErrorName } from 'node:util'
import { CLIENT, EVENT_ENDED, UPSTREAM, type RelayEvent } from './binding.ts'
import { ENDED_BY, readingOf } from './native-reading.ts'
import type { Entry, NativeRelay } from './native.ts'
import type { Ending, Tunnel, TunnelListener, TunnelStart } from './relay.ts'
import type { EndedBy, EndReason, TunnelEnd, TunnelReading } from './tunnel-end.ts'
import type { CloseFrame, OwnReason } from './tunnel-policy.ts'

/** In the order of `enum end_reason` (native/relay.h); the reasons behind `dead` are words of ours. */
const END_REASONS: readonly EndReason[] = [
  'eof',
  'reset',
  'error',
  'idle',
  'lifetime',
  'dead',
  'drain',
  'expired',
  'reload',
  'kill',
  'rebalance',
]

const NO_FRAME: CloseFrame = { code: 0, text: '' }

export class NativeTunnel implements Tunnel, Entry {
  readonly #relay: NativeRelay
  readonly #id: number
  readonly #hasFrames: boolean
  readonly #leave: (() => void) | undefined
  readonly #listener: TunnelListener
  #end: TunnelEnd | undefined

  /** `leave` is called at the end. */
  constructor(
    relay: NativeRelay,
    id: number,
    { listener, policy }: TunnelStart,
    leave: (() => void) | undefined,
  ) {
    this.#relay = relay
    this.#id = id
    this.#hasFrames = policy.frames
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
    if (this.#end !== undefined) return this.#end
    const { binding, handle, reading } = this.#relay
    binding.read(handle, this.#id)
    return readingOf(reading, this.#hasFrames)
  }

  close(by: 'gateway' | 'admin', reason: OwnReason, { frame, timeoutMs }: Ending): void {
    if (this.#end !== undefined) return
    const { binding, handle } = this.#relay
    const [byNumber, reasonNumber] = [ENDED_BY.indexOf(by), END_REASONS.indexOf(reason)]
    const { code, text } = frame ?? NO_FRAME
    binding.close(handle, this.#id, byNumber, reasonNumber, timeoutMs, code, text)
  }

  onEvent(event: RelayEvent): void {
    if (event[0] !== EVENT_ENDED) return
    const [, , by, reason, errno, durationMs] = event
    this.#end = {
      by: ENDED_BY[by] as EndedBy,
      reason: END_REASONS[reason] as EndReason,
      ...readingOf(this.#relay.reading, this.#hasFrames),
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
