/** A native relay of one thread, and what it leaves to the portable one. */

import { loadBinding, type Binding } from '../../src/relay/binding.ts'
import { NativeRelay } from '../../src/relay/native.ts'
import { relayPortably } from '../../src/relay/portable.ts'
import type { Relay } from '../../src/relay/relay.ts'
import { Sweep } from '../../src/relay/sweep.ts'

export interface StartedNative extends Disposable {
  readonly native: NativeRelay
  readonly relay: Relay
  /** How many tunnels the portable relay got. */
  readonly left: number
  stop(): void
}

/** Throws where the addon is not built. */
export function binding(): Binding {
  const loaded = loadBinding()
  if ('missing' in loaded) throw new Error(`there is no native relay: ${loaded.missing}`)
  return loaded
}

export function startNative(bufferBytes = 65_536): StartedNative {
  const sweep = new Sweep()
  let left = 0
  const native = new NativeRelay(binding(), {
    threads: 1,
    bufferBytes,
    portable: (client, upstream, start) => {
      left += 1
      return relayPortably(client, upstream, start, sweep)
    },
  })
  const stop = (): void => native.stop()
  return {
    native,
    relay: native.relay,
    get left() {
      return left
    },
    stop,
    [Symbol.dispose]: stop,
  }
}
