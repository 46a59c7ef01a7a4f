/** How a tunnel ended. The words are those of the log and of the metric labels. */

/** Who ended it: the peer that closed or broke first, the gateway by a limit or its own end, or an operator. */
export type EndedBy = 'client' | 'upstream' | 'gateway' | 'admin'

/**
 * Why: `eof` after an orderly FIN, `reset` after a RST, `idle` and `lifetime` by the route's timeouts, `drain` when the
 * gateway shuts down, `error` for everything else, with a cause.
 */
export type EndReason = 'eof' | 'reset' | 'idle' | 'lifetime' | 'drain' | 'error'

export interface TunnelEnd {
  readonly by: EndedBy
  readonly reason: EndReason
  /** Bytes read from the client, without the handshake. */
  readonly bytesUp: number
  /** Bytes read from the upstream, without the handshake. */
  readonly bytesDown: number
  /** From the 101 to the moment both sockets were closed. */
  readonly durationMs: number
  /** For the log: an error code or what was broken. */
  readonly cause?: string
}
