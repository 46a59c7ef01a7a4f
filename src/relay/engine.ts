/** Which relay moves the bytes, and why that one. */

import { availableParallelism } from 'node:os'
import type { Config } from '../config/config.ts'
import type { Acceptor } from './acceptor.ts'
import { loadBinding, type Binding } from './binding.ts'
import type { Dialer } from './dialer.ts'
import { NativeRelay } from './native.ts'
import { relayPortably } from './portable.ts'
import type { Relay } from './relay.ts'
import { Sweep } from './sweep.ts'

export interface Engine {
  readonly name: 'native' | 'portable'
  /** For the operator. */
  readonly why: string
  readonly relay: Relay
  /** Undefined where connections to endpoints are sockets of node's. */
  readonly dialer: Dialer | undefined
  /** Undefined where clients are accepted by node. */
  readonly acceptor: Acceptor | undefined
  /** Frees what it holds. No tunnel may be open. */
  stop(): void
}

/** Throws when `relay.engine` is `native` and that cannot be had: the message says why, and what to do. */
export function startEngine(
  config: Config['relay'],
  load: () => Binding | { readonly missing: string } = loadBinding,
): Engine {
  const portable = startPortable()
  if (config.engine === 'portable') return { ...portable, why: 'relay.engine is portable' }
  const native = startNative(config, portable.relay, load)
  if ('name' in native) return native
  if (config.engine === 'auto') return { ...portable, why: `no native relay: ${native.missing}` }
  throw new Error(
    `relay.engine is native, but there is no native relay: ${native.missing}. With relay.engine auto the portable one is used.`,
  )
}

function startPortable(): Omit<Engine, 'why'> {
  const sweep = new Sweep()
  return {
    name: 'portable',
    relay: (client, upstream, start) => relayPortably(client, upstream, start, sweep),
    dialer: undefined,
    acceptor: undefined,
    stop: () => {},
  }
}

function startNative(
  { threads = availableParallelism(), bufferBytes, engine }: Config['relay'],
  portable: Relay,
  load: () => Binding | { readonly missing: string },
): Engine | { readonly missing: string } {
  const binding = load()
  if ('missing' in binding) return binding
  try {
    const native = new NativeRelay(binding, { threads, bufferBytes, portable })
    const reason = engine === 'native' ? 'relay.engine is native' : 'the native relay is built'
    return {
      name: 'native',
      why: `${reason}; ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      relay: native.relay,
      dialer: native,
      acceptor: native,
      stop: () => native.stop(),
    }
  } catch (error) {
    return { missing: (error as Error).message }
  }
}
