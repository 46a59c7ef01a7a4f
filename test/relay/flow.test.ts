import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { Flow } from '../../src/relay/flow.ts'

/** A socket that takes what it is told to. */
class Taker {
  writableLength = 0
  #room = 0

  constructor(room: number) {
    this.#room = room
  }

  write(bytes: Buffer): boolean {
    this.writableLength += bytes.length
    this.take(0)
    return this.writableLength === 0
  }

  take(more: number): void {
    this.#room += more
    const taken = Math.min(this.#room, this.writableLength)
    this.#room -= taken
    this.writableLength -= taken
  }
}

function flowTo(to: Taker, isPaused = false): Flow {
  const owner = {
    onCloseCode: () => assert.fail(),
    onPinged: () => assert.fail(),
    onShut: () => assert.fail(),
    onFiltered: () => assert.fail(),
  }
  const sockets = {
    from: { isPaused: () => isPaused } as Partial<Socket> as Socket,
    to: to as unknown as Socket,
    hasFrames: false,
  }
  return new Flow(owner, 'upstream', sockets)
}

describe('Flow', () => {
  it('takes it for a sign of life that a receiver takes what was held for it', () => {
    const to = new Taker(10)
    const flow = flowTo(to)
    const bornAtMs = flow.takenAtMs
    assert.equal(flow.pass(Buffer.alloc(30)), false)
    flow.look(bornAtMs + 1)
    assert.equal(flow.takenAtMs, bornAtMs, "the first ten are the kernel's")
    flow.look(bornAtMs + 2)
    assert.equal(flow.takenAtMs, bornAtMs)
    to.take(5)
    flow.look(bornAtMs + 3)
    assert.equal(flow.takenAtMs, bornAtMs + 3)
    to.take(15)
    flow.pass(Buffer.alloc(0))
    flow.look(bornAtMs + 4)
    assert.equal(flow.takenAtMs, bornAtMs + 4)
  })

  it('learns nothing from what the kernel takes at once', () => {
    const flow = flowTo(new Taker(Infinity))
    const bornAtMs = flow.takenAtMs
    for (let turn = 1; turn < 4; turn += 1) {
      assert.equal(flow.pass(Buffer.alloc(1000)), true)
      flow.look(bornAtMs + turn)
    }
    assert.equal(flow.takenAtMs, bornAtMs)
    assert.equal(flow.heardAtMs, bornAtMs + 3, 'the sender is another matter')
  })

  it('does not take for silent whom it does not read', () => {
    const flow = flowTo(new Taker(0), true)
    flow.look(flow.heardAtMs + 8)
    assert.equal(flow.heardAtMs, flow.movedAtMs + 8)
  })

  it('knows since when its sender is silent', () => {
    const flow = flowTo(new Taker(Infinity))
    const bornAtMs = flow.movedAtMs
    // The clock has fractions, and their sums are not exact.
    const silentMs = (sinceBirthMs: number): number =>
      Math.round(flow.silentMs(bornAtMs + sinceBirthMs))
    assert.equal(silentMs(5), 5)
    flow.pass(Buffer.alloc(1))
    assert.equal(silentMs(6), 0)
    flow.look(bornAtMs + 7)
    assert.equal(silentMs(9), 2)
  })
})
