/**
 * What an engine may offer beside its relay: to accept clients below node's sockets and hear what they ask for. What
 * that means, and what becomes of them, is not decided there.
 */

import type { Socket } from 'node:net'
import type { Side } from './relay.ts'

export interface AcceptOptions {
  /** Of a bound and listening TCP socket; it is duplicated. */
  readonly fd: number
  /** Milliseconds for a whole request head; `Infinity` for no limit. */
  readonly headTimeoutMs: number
  /** Clients at once, those whose sockets have become node's included; `Infinity` for no limit. */
  readonly connectionsMax: number
  /** Of one address, or of one /64 of IPv6; `Infinity` for no limit. */
  readonly shareMax: number
  /** Whose clients have no such share: blocks of 17 bytes, see `packBlocks`. */
  readonly exempt: Uint8Array
  /** Of a socket that becomes node's. */
  readonly highWaterMark: number
}

/** Is told what a client does as long as its connection is held. */
export interface HeldListener {
  /** A part of what it sends as latin1, and whether its FIN is behind it. The connection waits until it is told what to do. */
  onText(text: string, fin: boolean): void
  /** The time for the head is over. */
  onLate(): void
  /** After `onText`: its FIN, and its reset. */
  onFin(): void
  onReset(): void
}

/** A client's connection that is no socket of node's. */
export interface HeldConnection {
  readonly peerAddress: string
  listener: HeldListener | undefined
  /** After `onText`: waits for more of the head. */
  hear(): void
  /** Closes the connection; nothing more is told. */
  close(): void
  /** Makes it a socket of node's, with nothing read that was not told; it is not held any more. */
  toSocket(): Socket
  /** As one side of a tunnel; `rest` (latin1) is what was told and belongs into it. */
  side(rest: string, ended: boolean): Side
}

/** What can be changed while clients are accepted. */
export type AcceptLimits = Pick<
  AcceptOptions,
  'headTimeoutMs' | 'connectionsMax' | 'shareMax' | 'exempt'
>

/** Clients that were not taken so far. */
export interface NotAccepted {
  /** Since `connectionsMax`, and since `shareMax` of their address, were reached. */
  readonly full: number
  readonly share: number
  /** The address of the last of these; empty while there was none. */
  readonly address: string
  /** How often clients had to wait, or were closed, for want of descriptors or memory. */
  readonly starved: number
}

export interface Accepting {
  readonly refused: NotAccepted
  /** For clients that come from now on; those who are there stay, and count. */
  adjust(limits: AcceptLimits): void
  /** Accepts no more. */
  stop(): void
}

export interface Acceptor {
  /** `onClient` gets each client that says something and returns who is told what. Throws an error with a `code` when it cannot. */
  accept(options: AcceptOptions, onClient: (connection: HeldConnection) => HeldListener): Accepting
}
