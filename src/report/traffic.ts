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

  add(bytes: number, frames: FrameCounts | undefined): void {
    this.bytes += bytes
    if (frames === undefined) return
    this.text += frames.text
    this.binary += frames.binary
    this.ping += frames.ping
    this.pong += frames.pong
    this.close += frames.close
    this.other += frames.other
    if (frames.blind) this.blind += 1
  }
}

/** Of any number of tunnels. */
export class Traffic {
  readonly up = new Flow()
  readonly down = new Flow()

  /** Once for each tunnel. */
  add({ bytesUp, bytesDown, webSocket }: TunnelReading): void {
    this.up.add(bytesUp, webSocket?.up)
    this.down.add(bytesDown, webSocket?.down)
  }

  copy(): Traffic {
    const copy = new Traffic()
    Object.assign(copy.up, this.up)
    Object.assign(copy.down, this.down)
    return copy
  }
}
