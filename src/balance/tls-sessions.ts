/**
 * The TLS sessions of one endpoint that a new connection may resume, so that it pays no full handshake. Nobody checks a
 * certificate then: they belong to one endpoint under one set of TLS settings, and do not live for long.
 */

/** Each connection brings new ones in place of the one that it took, or none: more are of use to crowds alone. */
const KEPT_MAX = 64

/** From the full handshake on, however often it was resumed since: an expired certificate is noticed after it. */
const AGE_MAX_MS = 3_600_000

export interface TlsSession {
  /** As node's TLS socket gives and takes it. */
  readonly data: Buffer
  /** When the endpoint's certificate was checked, by the clock of `TlsSessions`. */
  readonly checkedAtMs: number
  /** Newer ones have higher numbers. */
  readonly number: number
}

export class TlsSessions {
  readonly #now: () => number
  /** The newest last. */
  #kept: TlsSession[] = []
  #count = 0

  /** `now` is a monotonic clock in milliseconds; `performance.now` when left out. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * The newest one, or undefined for a full handshake. A ticket of TLS 1.3 should be shown once (RFC 8446 C.4), so it is gone with it;
   * but the last one stays, as there are servers (node's is one) that give no new ticket to who shows one.
   */
  take(): TlsSession | undefined {
    const nowMs = this.#now()
    this.#kept = this.#kept.filter(({ checkedAtMs }) => nowMs - checkedAtMs < AGE_MAX_MS)
    return this.#kept.length > 1 ? this.#kept.pop() : this.#kept[0]
  }

  /**
   * Of a connection whose certificate was right, or need not be. `checkedAtMs` is that of
   * the session that the connection itself has resumed; undefined for one with a full handshake.
   * `isSingleUse` is false with TLS 1.2, whose sessions are there to be shown again: one makes all others needless.
   */
  keep(data: Buffer, isSingleUse: boolean, checkedAtMs = this.#now()): void {
    this.#count += 1
    if (!isSingleUse) this.#kept = []
    this.#kept.push({ data, checkedAtMs, number: this.#count })
    if (this.#kept.length > KEPT_MAX) this.#kept.shift()
  }

  /** The endpoint does not know it, and so none that is older: it has other keys now. */
  refused({ number }: TlsSession): void {
    this.#kept = this.#kept.filter((session) => session.number > number)
  }
}
