import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../../src/tunnels/clock.ts'

/** Keeps the process alive, as a listener does. */
function keepAlive(): Disposable {
  const timer = setInterval(() => undefined, 1000)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

describe('systemClock', () => {
  it('calls back after its time, by both of its clocks', async () => {
    using _ = keepAlive()
    const wallMs = systemClock.wallMs()
    const uptimeMs = systemClock.uptimeMs()
    await new Promise<void>((resolve) => systemClock.after(20, resolve))
    // The two are rounded differently.
    assert.ok(systemClock.wallMs() - wallMs >= 18)
    assert.ok(systemClock.uptimeMs() - uptimeMs >= 18)
  })

  it('does not call back what was stopped', async () => {
    using _ = keepAlive()
    const called: string[] = []
    const stop = systemClock.after(1, () => called.push('stopped'))
    stop()
    await new Promise<void>((resolve) => systemClock.after(10, resolve))
    assert.deepEqual(called, [])
  })
})
