/** The numbers of a tunnel as the native relay tells them: `fill_reading` (native/addon_reading.c) has the same order. */

import type { EndedBy, FrameCounts, TunnelReading, WebSocketReading } from './tunnel-end.ts'

/** In the order of `enum ended_by` (native/relay.h). */
export const ENDED_BY: readonly EndedBy[] = ['client', 'upstream', 'gateway', 'admin']

const FIRST_UP = 2
const FIRST_DOWN = 3
const COUNTS_UP = 6
const COUNTS_DOWN = 13
const CLOSE_BY = 20
const CLOSE_CODE = 21

/** In place of what there is not. */
const NONE = -1

/** `hasFrames`: the frames of this tunnel are followed. */
export function readingOf(numbers: Float64Array, hasFrames: boolean): TunnelReading {
  const [bytesUp, bytesDown, , , silentUpMs, silentDownMs] = numbers as unknown as SixNumbers
  return {
    bytesUp,
    bytesDown,
    firstUpMs: timeAt(numbers, FIRST_UP),
    firstDownMs: timeAt(numbers, FIRST_DOWN),
    silentUpMs,
    silentDownMs,
    webSocket: hasFrames ? webSocketOf(numbers) : undefined,
  }
}

type SixNumbers = readonly [number, number, number, number, number, number]

function timeAt(numbers: Float64Array, index: number): number | undefined {
  const ms = numbers[index] as number
  return ms === NONE ? undefined : ms
}

function webSocketOf(numbers: Float64Array): WebSocketReading {
  const by = numbers[CLOSE_BY] as number
  const code = numbers[CLOSE_CODE] as number
  return {
    up: countsAt(numbers, COUNTS_UP),
    down: countsAt(numbers, COUNTS_DOWN),
    close: by === NONE ? undefined : { by: ENDED_BY[by] as EndedBy, code },
  }
}

function countsAt(numbers: Float64Array, index: number): FrameCounts {
  const counts = numbers.subarray(index, index + 7) as unknown as readonly number[]
  const [text, binary, ping, pong, close, other, blind] = counts as readonly [...SixNumbers, number]
  return { text, binary, ping, pong, close, other, blind: blind === 1 }
}
