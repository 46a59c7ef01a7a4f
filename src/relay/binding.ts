/** The functions of the native relay (`native/addon.c`), and how they are found. */

import { createRequire } from 'node:module'

/** A started relay. */
export interface RelayHandle {
  readonly __relay: never
}

export const EVENT_BYTES = 0
export const EVENT_FAILED = 1
export const EVENT_ENDED = 2

/** What a thread has to tell about the tunnel or dial `id`. */
export type RelayEvent =
  | [kind: typeof EVENT_BYTES, id: number, latin1: string, fin: boolean]
  | [kind: typeof EVENT_FAILED, id: number, stage: number, timedOut: boolean, errno: number]
  | [
      kind: typeof EVENT_ENDED,
      id: number,
      by: number,
      reason: number,
      errno: number,
      bytesUp: number,
      bytesDown: number,
      durationMs: number,
    ]

/**
 * Numbers that name a tunnel or a dial are used anew after its last event ('failed' or 'ended'). What can fail for want
 * of memory or descriptors returns a negated errno in place of a number.
 */
export interface Binding {
  /** Starts the threads; `bufferBytes` is what may be held for a peer that stalls, each way. `onEvent` must not throw. */
  start(threads: number, bufferBytes: number, onEvent: (...event: RelayEvent) => void): RelayHandle
  /** Ends the threads; what is open is reset, without an event. */
  stop(relay: RelayHandle): void
  /** To an address literal and a port, or to the path of a unix socket and port -1. `head` is latin1. */
  dial(
    relay: RelayHandle,
    host: string,
    port: number,
    head: string,
    connectMs: number,
    handshakeMs: number,
  ): number
  /** After 'bytes': waits for more of the answer, with `refresh` for the whole time once more. */
  proceed(relay: RelayHandle, id: number, refresh: boolean): void
  /** After 'bytes': gives the descriptor away. 'ended' follows. */
  release(relay: RelayHandle, id: number): number
  /**
   * Joins `clientFd` and `upstreamFd`, or the dialed `id` in place of the latter. The descriptors are duplicated: the
   * caller closes its own. The texts (latin1) go first; `bytesDown` of `toClient` count as read from the upstream.
   */
  open(
    relay: RelayHandle,
    id: number,
    clientFd: number,
    upstreamFd: number,
    toClient: string,
    toUpstream: string,
    bytesDown: number,
    idleMs: number,
    lifetimeMs: number,
  ): number
  /** Ends a tunnel, or abandons a dial. */
  close(relay: RelayHandle, id: number, by: number, reason: number, graceMs: number): void
  /** Bytes read so far from the client (0) or the upstream (1). */
  bytes(relay: RelayHandle, id: number, side: 0 | 1): number
}

/** Where `npm run build:native` puts it, seen from src/relay as from dist/relay. */
const ADDON = '../../build/relay.node'

/** The functions, or why there are none. */
export function loadBinding(addon: string = ADDON): Binding | { readonly missing: string } {
  try {
    return createRequire(import.meta.url)(addon) as Binding
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return {
      missing:
        code === 'MODULE_NOT_FOUND'
          ? 'it is not built (`npm run build:native` builds it where a C compiler is)'
          : `it cannot be loaded: ${message.split('\n', 1).join('')}`,
    }
  }
}
