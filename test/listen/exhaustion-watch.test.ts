import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { ExhaustionWatch } from '../../src/listen/exhaustion-watch.ts'
import type { Listener } from '../../src/listen/listener.ts'
import { CONFIG } from './test-listener.ts'

describe('ExhaustionWatch', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }))
  afterEach(() => mock.timers.reset())

  it('tells each second what listeners have counted since', () => {
    const counted = { starved: 0 }
    const address = { kind: 'tcp', host: '127.0.0.1', port: 80 }
    const listener = {
      address,
      config: CONFIG,
      get starved() {
        return counted.starved
      },
    } as unknown as Listener
    const told: unknown[] = []
    const watch = new ExhaustionWatch({
      listeners: () => [listener],
      report: { exhausted: (cause, times) => void told.push([cause, times]) },
    })
    mock.timers.tick(3000)
    assert.deepEqual(told, [])
    counted.starved = 3
    mock.timers.tick(2000)
    counted.starved = 4
    mock.timers.tick(2000)
    watch.close()
    counted.starved = 9
    mock.timers.tick(2000)
    const cause = 'accept at http://127.0.0.1:80/'
    assert.deepEqual(told, [
      [cause, 3],
      [cause, 1],
    ])
  })
})
