/** How a tunnel does and how it ended. The words are those of the log and of the metric labels. */

/** Who ended it: the peer that closed or broke first, the gateway by a limit or its own end, or an operator. */
export type EndedBy = 'client' | 'upstream' | 'gateway' | 'admin'

/**
 * Why: `eof` after an orderly FIN, `reset` after a RST, `error` for everything else that broke, with a cause. The others are
 * the gateway's: `idle` and `lifetime` by the route's timeouts, `dead` for a peer that does not answer pings, `expired` for
 * credentials that do not hold any more, `drain` when the gateway or an endpoint is emptied, `reload` for a tunnel that a new
 * config has no place for, `kill` by an operator, `rebalance` for one that shall come back to another endpoint.
 */
export type EndReason =
  | 'eof'
  | 'reset'
  | 'error'
  | 'idle'
  | 'lifetime'
  | 'dead'
  | 'expired'
  | 'drain'
  | 'reload'
  | 'kill'
  | 'rebalance'

/** Messages and control frames that came from one peer. The gateway's own, and the pongs to its pings, are not among them. */
export interface FrameCounts {
  /** Whole messages, however many frames they have. */
  readonly text: number
  readonly binary: number
  readonly ping: number
  readonly pong: number
  readonly close: number
  /** Frames of opcodes that RFC 6455 keeps for later. */
  readonly other: number
  /** The peer broke the protocol so that its frames could not be followed any further. */
  readonly blind: boolean
}

/** The first Close frame that was seen, whoever sent it. */
export interface SeenClose {
  readonly by: EndedBy
  /** 1005 for a frame without one (RFC 6455 7.1.5). */
  readonly code: number
}

export interface WebSocketReading {
  readonly up: FrameCounts
  readonly down: FrameCounts
  readonly close: SeenClose | undefined
}

/** The numbers of a tunnel at one moment. */
export interface TunnelReading {
  /** Bytes read from the client, without the handshake. */
  readonly bytesUp: number
  /** Bytes read from the upstream, without the handshake. */
  readonly bytesDown: number
  /** Milliseconds from the 101 to the first byte; undefined where none came. */
  readonly firstUpMs: number | undefined
  readonly firstDownMs: number | undefined
  /** Milliseconds since the last byte, or since the 101. Pongs to the gateway's pings are left out. */
  readonly silentUpMs: number
  readonly silentDownMs: number
  /** Undefined where frames are not followed. */
  readonly webSocket: WebSocketReading | undefined
}

export interface TunnelEnd extends TunnelReading {
  readonly by: EndedBy
  readonly reason: EndReason
  /** From the 101 to the moment both sockets were closed. */
  readonly durationMs: number
  /** For the log: an error code or what was broken. */
  readonly cause?: string
}
