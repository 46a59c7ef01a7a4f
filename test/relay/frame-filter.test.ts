import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FrameFilter } from '../../src/relay/frame-filter.ts'
import { FrameScanner } from '../../src/relay/frame-scanner.ts'
import { expectedOf } from './frame-model.ts'
import { outcomeOf, Sink } from './filter-run.ts'
import { makeRun } from './frame-run.ts'
import {
  closePayload,
  downFrame,
  upFrame,
  CLOSE,
  CONTINUATION,
  PING,
  PONG,
  TEXT,
} from './made-frames.ts'

const COUNT = Number(process.env['UPGATE_TEST_SCHEDULES'] ?? 600)
const FIRST_SEED = Number(process.env['UPGATE_TEST_SEED'] ?? 1)

const payload = Buffer.from('8 bytes!')
const ping = downFrame(PING, payload)
const close = downFrame(CLOSE, closePayload(1001, 'bye'))

function start(isMasked: boolean): { scanner: FrameScanner; sink: Sink; filter: FrameFilter } {
  const scanner = new FrameScanner(isMasked)
  const sink = new Sink()
  return { scanner, sink, filter: new FrameFilter(scanner, sink, payload) }
}

describe('FrameFilter', () => {
  it('hands a chunk on as it is where it has nothing to change', () => {
    const { sink, filter } = start(true)
    filter.awaitPong()
    const chunk = Buffer.concat([upFrame(TEXT, 'a'), upFrame(PONG, 'foreign!'), upFrame(TEXT, 'b')])
    filter.push(chunk)
    assert.equal(sink.events.length, 1)
    assert.equal(sink.events[0], chunk)
  })

  it('puts a ping between two frames at once, and in a frame behind it', () => {
    const { sink, filter } = start(false)
    filter.ping(ping)
    assert.deepEqual(sink.events.splice(0), [ping, 'pinged'])
    const [first, second] = [downFrame(TEXT, 'first', { isFinal: false }), downFrame(CONTINUATION)]
    filter.push(first.subarray(0, 3))
    sink.events.length = 0
    filter.ping(ping)
    assert.deepEqual([sink.events, filter.isWaiting], [[], true])
    filter.push(Buffer.concat([first.subarray(3), second]))
    assert.deepEqual(sink.events, [first.subarray(3), ping, 'pinged', second])
    assert.equal(filter.isIdle, true)
  })

  it('forwards nothing behind its Close frame, and still counts', () => {
    const { scanner, sink, filter } = start(true)
    const frame = upFrame(TEXT, 'the frame')
    filter.push(frame.subarray(0, 8))
    filter.close(close)
    filter.push(Buffer.concat([frame.subarray(8), upFrame(TEXT), upFrame(CLOSE)]))
    filter.push(upFrame(TEXT))
    assert.deepEqual(sink.events, [frame.subarray(0, 8), frame.subarray(8), close, 'shut, told'])
    assert.deepEqual([scanner.text, scanner.closeCode], [2, 1005])
  })

  it('sends no Close frame behind one of the peer', () => {
    const { sink, filter } = start(true)
    const frame = upFrame(CLOSE, closePayload(1000, 'done'))
    filter.push(frame.subarray(0, 9))
    filter.close(close)
    filter.push(Buffer.concat([frame.subarray(9), upFrame(TEXT)]))
    assert.deepEqual(sink.events, [frame.subarray(0, 9), frame.subarray(9), 'shut'])
  })

  it('puts nothing into a blind direction', () => {
    const { sink, filter } = start(true)
    const broken = downFrame(TEXT, 'bare')
    filter.push(broken)
    filter.ping(ping)
    assert.deepEqual(sink.events, [broken])
    assert.equal(filter.isWaiting, false)
    filter.close(close)
    assert.deepEqual(sink.events, [broken, 'shut'])
  })

  it('takes a pong to its ping out, however it is cut, and lets another one pass', () => {
    for (const pieces of [[14], [1, 13], [2, 4, 8], [13, 1]]) {
      const { scanner, sink, filter } = start(true)
      filter.awaitPong()
      const pong = upFrame(PONG, payload)
      let at = 0
      for (const bytes of pieces) {
        filter.push(pong.subarray(at, (at += bytes)))
        assert.equal(filter.heldBytes, at % pong.length)
      }
      assert.deepEqual(sink.events, ['own pong of 14'])
      assert.equal(filter.isIdle, true)
      filter.push(pong)
      assert.deepEqual(sink.events.slice(1), [pong])
      assert.equal(scanner.pong, 1)
    }
  })

  it('lets go of what it has held back when the sender ends', () => {
    const { scanner, sink, filter } = start(false)
    filter.awaitPong()
    const half = downFrame(PONG, payload).subarray(0, 7)
    filter.push(half)
    assert.deepEqual([sink.events, scanner.pong], [[], 0])
    filter.end()
    assert.deepEqual([sink.events, scanner.pong], [[half], 1])
  })

  it(`does the same with ${COUNT} random runs as a model of it`, (test) => {
    const met = { 'own pongs': 0, blind: 0, 'a close code': 0, 'our Close frame': 0 }
    for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed += 1) {
      const run = makeRun(seed)
      const outcome = outcomeOf(run)
      assert.deepEqual(outcome, expectedOf(run), `UPGATE_TEST_SEED=${seed}`)
      met['own pongs'] += outcome.ownPongBytes > 0 ? 1 : 0
      met.blind += outcome.counts['blind'] === true ? 1 : 0
      met['a close code'] += outcome.closeCode === undefined ? 0 : 1
      met['our Close frame'] += outcome.forwarded.endsWith(run.close.toString('hex')) ? 1 : 0
    }
    test.diagnostic(`runs with ${JSON.stringify(met)}`)
  })
})
