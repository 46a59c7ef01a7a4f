import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Http2Session } from 'node:http2'
import { after, before, describe, it, mock } from 'node:test'
import { ReceiveWindow } from '../../src/http2/receive-window.ts'

const KIBIBYTE = 1024
const MEBIBYTE = 1024 * KIBIBYTE

/** A session of which the other end answers when it is told to. */
class FakeSession extends EventEmitter {
  destroyed = false
  closed = false
  readonly sizes: number[] = []
  readonly pongs: ((error: null) => void)[] = []
  readonly acknowledgements: (() => void)[] = []

  ping(onPong: (error: null) => void): boolean {
    this.pongs.push(onPong)
    return true
  }

  settings({ initialWindowSize }: { initialWindowSize: number }, onAcknowledged: () => void): void {
    this.sizes.push(initialWindowSize)
    this.acknowledgements.push(onAcknowledged)
  }
}

let clock = 0
before(() => {
  mock.method(performance, 'now', () => clock)
})
after(() => mock.restoreAll())

function made(): { session: FakeSession; window: ReceiveWindow } & Disposable {
  const session = new FakeSession()
  const window = new ReceiveWindow(session as unknown as Http2Session)
  return { session, window, [Symbol.dispose]: () => session.emit('close') }
}

/** Reads as much as the window has within one round trip, of a second, until it grows no more. */
function grow({ session, window }: { session: FakeSession; window: ReceiveWindow }): void {
  for (let round = 0; round < 10; round += 1) {
    window.onRead(window.size)
    clock += 1000
    session.pongs.pop()?.(null)
  }
}

describe('the window of a stream', () => {
  it('doubles to 4 MiB while half of it is read within a round trip', () => {
    using one = made()
    one.window.open()
    grow(one)
    assert.deepEqual(
      one.session.sizes,
      [512, 1024, 2048, 4096].map((size) => size * KIBIBYTE),
    )
  })

  it('stays as it is for a reader that takes little within a round trip, or nothing', () => {
    using one = made()
    one.window.open()
    one.window.onRead(128 * KIBIBYTE)
    clock += 50
    one.session.pongs.pop()?.(null)
    for (let turn = 0; turn < 20; turn += 1) {
      clock += 51
      one.window.onRead(64 * KIBIBYTE)
    }
    assert.deepEqual([one.session.sizes, one.session.pongs.length], [[], 0])
  })

  it('shrinks with more streams, so that all have 16 MiB, and grows back to 256 KiB', () => {
    using one = made()
    one.window.open()
    grow(one)
    for (let streams = 2; streams <= 100; streams += 1) {
      one.window.open()
      assert.ok(one.window.size * streams <= 16 * MEBIBYTE)
    }
    assert.equal(one.window.size, 128 * KIBIBYTE)
    for (let streams = 99; streams >= 0; streams -= 1) one.window.leave()
    assert.equal(one.window.size, 256 * KIBIBYTE)
  })

  it('is refused above 64 MiB while nobody has acknowledged that it has shrunk', () => {
    using one = made()
    one.window.open()
    grow(one)
    for (const acknowledge of one.session.acknowledgements) acknowledge()
    const opened = Array.from({ length: 20 }, () => one.window.open())
    assert.equal(opened.filter(Boolean).length, 15)
    for (const acknowledge of one.session.acknowledgements) acknowledge()
    assert.equal(one.window.open(), true)
  })

  it('grows no more when all of the process have 256 MiB, until others are closed', () => {
    const many = Array.from({ length: 100 }, made)
    for (const one of many) {
      one.window.open()
      grow(one)
    }
    const grown = many.map(({ window }) => window.size - 256 * KIBIBYTE)
    assert.ok(grown.reduce((sum, size) => sum + size) <= 256 * MEBIBYTE)
    assert.equal(many.at(-1)?.window.size, 256 * KIBIBYTE)
    for (const one of many) one[Symbol.dispose]()
    using later = made()
    later.window.open()
    grow(later)
    assert.equal(later.window.size, 4 * MEBIBYTE)
  })
})
