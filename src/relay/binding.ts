/** The functions of the native relay (`native/addon.c`), and how they are found. */

import { createRequire } from 'node:module'

/** A started relay. */
export interface RelayHandle {
  readonly __relay: never
}

/** Who accepts. */
interface ListenerHandle {
  readonly __listener: never
}

/** What threads do with tunnels by themselves. It holds memory until it is collected. */
export interface PolicyHandle {
  readonly __policy: never
}

/** How many numbers a tunnel's reading has: see `native-reading.ts`. */
export const READING_NUMBERS = 22

export const EVENT_REQUEST = 0
export const EVENT_LATE = 1
export const EVENT_FIN = 2
export const EVENT_RESET = 3
export const EVENT_ANSWER = 4
export const EVENT_FAILED = 5
export const EVENT_ENDED = 6

export const CLIENT = 0
export const UPSTREAM = 1

/** What a thread has to tell about the client, dial or tunnel `id`; `native/relay.h` says when. */
export type RelayEvent =
  | [
      kind: typeof EVENT_REQUEST,
      id: number,
      latin1: string,
      fin: boolean,
      listenerTag: number,
      peerAddress: string,
    ]
  | [kind: typeof EVENT_LATE | typeof EVENT_FIN | typeof EVENT_RESET, id: number]
  | [kind: typeof EVENT_ANSWER, id: number, latin1: string, fin: boolean]
  | [kind: typeof EVENT_FAILED, id: number, stage: number, timedOut: boolean, errno: number]
  | [
      kind: typeof EVENT_ENDED,
      id: number,
      by: number,
      reason: number,
      errno: number,
      durationMs: number,
    ]

/**
 * Numbers that name a client, a dial or a tunnel are used anew after its last event ('ended', or 'failed' without a
 * client). What can fail for want of memory or descriptors returns a negated errno in place of a number.
 */
export interface Binding {
  /**
   * Starts the threads; `bufferBytes` is what may be held for a peer that stalls, each way. `reading` (of
   * `READING_NUMBERS`) is filled by `read`, and before each 'ended' is told.
   */
  start(
    threads: number,
    bufferBytes: number,
    onEvent: (...event: RelayEvent) => void,
    reading: Float64Array,
  ): RelayHandle
  /** Clients and dials whose descriptor would be `from` or above are treated as if there were none; 0 for no such number. */
  spare(relay: RelayHandle, from: number): void
  /** Ends the threads; what is open is reset, without an event. */
  stop(relay: RelayHandle): void
  /**
   * Accepts from a listening socket, which is duplicated; `tag` comes with each client's first event. `shareMax` is of one
   * address (IPv6: of its /64); blocks in `exempt` have none (see `packBlocks`).
   */
  listen(
    relay: RelayHandle,
    fd: number,
    tag: number,
    headMs: number,
    clientsMax: number,
    shareMax: number,
    exempt: Uint8Array,
  ): ListenerHandle | number
  unlisten(relay: RelayHandle, listener: ListenerHandle): void
  /** For clients that are accepted from now on. */
  adjust(
    relay: RelayHandle,
    listener: ListenerHandle,
    headMs: number,
    clientsMax: number,
    shareMax: number,
    exempt: Uint8Array,
  ): void
  /** A released client, whose address this was, counts no more. */
  leave(relay: RelayHandle, listener: ListenerHandle, peerAddress: string): void
  /** Who was not taken so far, and the address of the last one. `starved`: for want of descriptors or memory. */
  refused(
    relay: RelayHandle,
    listener: ListenerHandle,
  ): [full: number, share: number, starved: number, address: string]
  /** After 'request': waits for more of the head. */
  hear(relay: RelayHandle, id: number): void
  /**
   * To an address literal and a port, or to the path of a unix socket and port -1, for the client `id` or for nobody (-1).
   * `head` is latin1; `from` is an address of this machine, of the same family, or empty.
   */
  dial(
    relay: RelayHandle,
    id: number,
    host: string,
    port: number,
    head: string,
    connectMs: number,
    handshakeMs: number,
    from: string,
  ): number
  /** After 'answer': waits for more of it, with `refresh` for the whole time once more. */
  proceed(relay: RelayHandle, id: number, refresh: boolean): void
  /** Closes the connection to the endpoint; a client stays. */
  drop(relay: RelayHandle, id: number): void
  /** Gives the descriptor of one side away. */
  release(relay: RelayHandle, id: number, side: typeof CLIENT | typeof UPSTREAM): number
  /**
   * `numbers`: idle, lifetime and close timeout in ms; 1 where frames are followed; ping and its timeout in ms; 1 where
   * the upstream is pinged; the codes of the Close frames for idle, lifetime and dead, whose texts follow.
   */
  policy(
    numbers: readonly number[],
    idleText: string,
    lifetimeText: string,
    deadText: string,
  ): PolicyHandle
  /**
   * Opens the tunnel `id`, or a new one (-1), of the sides that are there and of descriptors (-1 for none), which are
   * duplicated: the caller closes its own. The texts (latin1) go first; `bytesDown` of `toClient` count as read.
   */
  open(
    relay: RelayHandle,
    id: number,
    clientFd: number,
    upstreamFd: number,
    toClient: string,
    toUpstream: string,
    bytesDown: number,
    policy: PolicyHandle,
  ): number
  /** Ends a tunnel, or abandons a client or a dial. With the code 0 no Close frame is sent. */
  close(
    relay: RelayHandle,
    id: number,
    by: number,
    reason: number,
    timeoutMs: number,
    code: number,
    text: string,
  ): void
  /** Fills the array of readings with a tunnel's. */
  read(relay: RelayHandle, id: number): void
  /** Bytes read so far. */
  bytes(relay: RelayHandle, id: number, side: typeof CLIENT | typeof UPSTREAM): number
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
