/**
 * What an engine may offer beside its relay: to open the connection to an endpoint, send a request head and read what is
 * answered, all below node's sockets. What the answer means is not decided there.
 */

import type { Socket } from 'node:net'
import type { HeldConnection } from './acceptor.ts'
import type { Side } from './relay.ts'

/** An address literal and a port, or the path of a unix socket. */
export type DialTarget =
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      /** An address of this machine, of the same family. The kernel picks one where it is left out. */
      readonly from?: string
    }
  | { readonly kind: 'unix'; readonly path: string }

export interface DialRequest {
  readonly target: DialTarget
  /** For whom, where the engine holds the client too: both are one tunnel then. */
  readonly client: HeldConnection | undefined
  /** The request head, as latin1. */
  readonly head: string
  /** Milliseconds until the connection stands; `Infinity` for no limit. */
  readonly connectMs: number
  /** Milliseconds from the sent head to each part of the answer; `Infinity` for no limit. */
  readonly handshakeMs: number
}

/** Is told what comes of a dial: `onAnswer` any number of times, or `onFailed` once. Neither is called before `dial` returns. */
export interface DialListener {
  /** A part of the answer as latin1, possibly empty, and whether the upstream's FIN is behind it. The dial waits until it is told what to do. */
  onAnswer(text: string, fin: boolean): void
  /** `code` is an error's, e.g. ECONNREFUSED. */
  onFailed(stage: 'connect' | 'answer', code: string, timedOut: boolean): void
}

/** A dial that is under way, or waits for an answer to `onAnswer`. */
export interface Dialed {
  /** Waits for more of the answer; with `refresh` the time for it starts anew. */
  proceed(refresh: boolean): void
  /** Closes the connection to the endpoint; nothing more is told. */
  abandon(): void
  /** The connection as one side of a tunnel; `rest` (latin1) is what came behind the answer's head. */
  side(rest: string, ended: boolean): Side<Socket>
}

export interface Dialer {
  /** Returns an error's code (EMFILE, ENOMEM, ...) when it could not even begin. */
  dial(request: DialRequest, listener: DialListener): Dialed | string
}
