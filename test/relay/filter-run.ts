/** Takes a run of frames through the filter of the portable relay. */

import { FrameFilter, type FrameSink } from '../../src/relay/frame-filter.ts'
import { FrameScanner } from '../../src/relay/frame-scanner.ts'
import type { FrameOutcome, FrameRun } from './frame-run.ts'

/** What comes out, as text where it is bytes. */
export class Sink implements FrameSink {
  readonly events: (string | Buffer)[] = []

  forward(bytes: Buffer): void {
    this.events.push(bytes)
  }

  onPinged(): void {
    this.events.push('pinged')
  }

  onOwnPong(bytes: number): void {
    this.events.push(`own pong of ${bytes}`)
  }

  onShut(isTold: boolean): void {
    this.events.push(isTold ? 'shut, told' : 'shut')
  }
}

/** Takes the steps of a run. */
export function outcomeOf(run: FrameRun): FrameOutcome {
  const scanner = new FrameScanner(run.isMasked)
  const sink = new Sink()
  const filter = new FrameFilter(scanner, sink, run.payload)
  for (const step of run.steps) {
    if (step.do === 'push') filter.push(step.chunk)
    else if (step.do === 'await') filter.awaitPong()
    else if (step.do === 'fin') filter.end()
    else filter[step.do](run[step.do])
  }
  const owns = sink.events.map((event) => /^own pong of (\d+)$/.exec(String(event))?.[1] ?? 0)
  return {
    forwarded: Buffer.concat(sink.events.filter((event) => typeof event !== 'string')).toString(
      'hex',
    ),
    counts: { ...scanner.counts() },
    closeCode: scanner.closeCode,
    put: sink.events.filter((event) => event === 'pinged' || event === 'shut, told').length,
    isBetween: scanner.isBetweenFrames,
    isFollowed: !scanner.isDone,
    isShut: sink.events.some((event) => String(event).startsWith('shut')),
    ownPongBytes: owns.reduce<number>((sum, bytes) => sum + Number(bytes), 0),
  }
}
