/** What went through tunnels, summed by direction. */

import type { FrameCounts, TunnelReading } from '../relay/tunnel-end.ts'

/** The kinds of messages and control frames, as metrics name them. */
export const FRAME_TYPES = ['text', 'binary', 'ping', 'pong', 'close', 'other'] as const

/** From one side to the other. */
class Flow {
  bytes = 0
  text = 0
  binary = 0
  ping = 0
  pong = 0
  close = 0
  other = 0
  /** Tunnels whose peer on this side broke the protocol. */
  blind = 0

  add(bytes: number, frames: FrameCounts | undefined, sign: 1 | -1): void {
    this.bytes += sign * bytes
    if (frames === undefined) return
    this.text += sign * frames.text
    this.binary += sign * frames.binary
    this.ping += sign * frames.ping
    this.pong += sign * frames.pong
    this.close += sign * frames.close
    this.other += sign * frames.other
    if (frames.blind) this.blind += sign
  }
}

/** Of any number of tunnels. */
export class Traffic {
  readonly up = new Flow()
  readonly down = new Flow()

  /** Once for each tunnel. */
  add(reading: TunnelReading): void {
    this.#add(reading, 1)
  }

  /** Takes out what another one counts. */
  subtract(reading: TunnelReading): void {
    this.#add(reading, -1)
  }

  #add({ bytesUp, bytesDown, webSocket }: TunnelReading, sign: 1 | -1): void {
    this.up.add(bytesUp, webSocket?.up, sign)
    this.down.add(bytesDown, webSocket?.down, sign)
  }

  copy(): Traffic {
    const copy = new Traffic()
    Object.assign(copy.up, this.up)
    Object.assign(copy.down, this.down)
    return copy
  }
}
