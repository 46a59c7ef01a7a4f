import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { Silence } from '../../src/handshake/silence.ts'

describe('Silence', () => {
  it('counts from the last touch', async () => {
    const startMs = performance.now()
    const silence = new Silence()
    setTimeout(() => silence.touch(), 30)
    await new Promise<void>((resolve) => {
      silence.watch(50, resolve)
    })
    assert.ok(performance.now() - startMs >= 75)
  })

  it('follows the last watch alone, and none after its end', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const first = mock.fn()
    const second = mock.fn()
    const silence = new Silence()
    silence.watch(100, first)
    silence.watch(200, second)
    t.mock.timers.tick(150)
    silence.end()
    silence.touch()
    t.mock.timers.tick(1000)
    assert.equal(first.mock.callCount() + second.mock.callCount(), 0)
  })

  it('never calls for a time without limit', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const onTooLong = mock.fn()
    const silence = new Silence()
    silence.watch(Infinity, onTooLong)
    silence.touch()
    t.mock.timers.tick(2 ** 31)
    assert.equal(onTooLong.mock.callCount(), 0)
  })
})
