/** Numbers of tunnels: nothing has happened, unless told otherwise. */

import type { FrameCounts, TunnelEnd, TunnelReading } from '../../src/relay/tunnel-end.ts'

export function frameCounts(changes: Partial<FrameCounts> = {}): FrameCounts {
  const none = { text: 0, binary: 0, ping: 0, pong: 0, close: 0, other: 0, blind: false }
  return { ...none, ...changes }
}

export function reading(changes: Partial<TunnelReading> = {}): TunnelReading {
  return {
    bytesUp: 0,
    bytesDown: 0,
    firstUpMs: undefined,
    firstDownMs: undefined,
    silentUpMs: 0,
    silentDownMs: 0,
    webSocket: undefined,
    ...changes,
  }
}

export function tunnelEnd(changes: Partial<TunnelEnd> = {}): TunnelEnd {
  return { ...reading(), by: 'client', reason: 'eof', durationMs: 1, ...changes }
}
