import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { Listener } from '../../src/listen/listener.ts'
import { RefusalWatch } from '../../src/listen/refusal-watch.ts'
import type { ClientsRefusedReport } from '../../src/report/reported.ts'
import { RefusedCount } from '../../src/share.ts'
import { CONFIG } from './test-listener.ts'

/** A listener of which nothing is there but what it counts. */
function counting() {
  const refused = new RefusedCount()
  const handshakes = new RefusedCount()
  const listener = {
    address: { kind: 'tcp', host: '127.0.0.1', port: 80 },
    config: CONFIG,
    refused,
    tls: { refused: handshakes },
  } as unknown as Listener
  return { refused, handshakes, listener }
}

describe('RefusalWatch', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval', 'Date'] }))
  afterEach(() => mock.timers.reset())

  function watching(...listeners: readonly Listener[]) {
    let nowMs = 0
    const clock = mock.method(performance, 'now', () => nowMs)
    const lines: ClientsRefusedReport[] = []
    const watch = new RefusalWatch({
      listeners: () => listeners,
      report: { clientsRefused: (line) => void lines.push(line) },
    })
    return {
      lines,
      watch,
      pass(ms: number) {
        for (let left = ms; left > 0; left -= 1000) {
          nowMs += 1000
          mock.timers.tick(1000)
        }
        return lines.splice(0)
      },
      [Symbol.dispose]() {
        watch.close()
        clock.mock.restore()
      },
    }
  }

  it('tells of the first client within a second, and of those that follow once a minute', () => {
    const { refused, listener } = counting()
    using watched = watching(listener)
    assert.deepEqual(watched.pass(5000), [])
    refused.add('share', '192.0.2.7')
    const [line] = watched.pass(1000)
    assert.deepEqual(line, {
      url: 'http://127.0.0.1:80/',
      key: 'connections',
      full: 0,
      share: 1,
      clientIp: '192.0.2.7',
    })
    for (let count = 0; count < 100; count += 1) refused.add('share', '192.0.2.7')
    refused.add('full', '192.0.2.8')
    assert.deepEqual(watched.pass(59_000), [])
    const [next, ...more] = watched.pass(1000)
    assert.deepEqual([next?.share, next?.full, next?.clientIp], [100, 1, '192.0.2.8'])
    assert.deepEqual(more, [])
    assert.deepEqual(watched.pass(600_000), [])
  })

  it('tells of each limit of each listener by itself', () => {
    const [one, other] = [counting(), counting()]
    using watched = watching(one.listener, other.listener)
    one.refused.add('full', '192.0.2.1')
    one.handshakes.add('share', '192.0.2.2')
    other.refused.add('full', '192.0.2.3')
    const told = watched.pass(1000).map(({ key, clientIp }) => `${key} ${clientIp}`)
    assert.deepEqual(told, [
      'connections 192.0.2.1',
      'tls.handshakes 192.0.2.2',
      'connections 192.0.2.3',
    ])
  })

  it('is silent once it is closed', () => {
    const { refused, listener } = counting()
    using watched = watching(listener)
    watched.watch.close()
    refused.add('full', '192.0.2.1')
    assert.deepEqual(watched.pass(5000), [])
  })
})
