import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Rates } from '../../src/admin/rates.ts'
import type { TunnelReading } from '../../src/relay/tunnel-end.ts'
import type { RunningTunnel } from '../../src/tunnels/tunnel.ts'
import { frameCounts, reading } from '../support/readings.ts'

function tunnelOf(numbers: Partial<TunnelReading> = {}) {
  const state = { numbers: reading(numbers) }
  const running = {
    openedAtMs: 1000,
    tunnel: { read: () => state.numbers },
  } as unknown as RunningTunnel
  const look = (rates: Rates, nowMs: number) => rates.look(running, nowMs).rate
  return {
    running,
    look,
    set: (changes: Partial<TunnelReading>) => (state.numbers = reading(changes)),
  }
}

describe('Rates', () => {
  it('tells the mean over its life of a tunnel that nobody has looked at', () => {
    const { look } = tunnelOf({ bytesUp: 40, bytesDown: 400 })
    assert.deepEqual(look(new Rates(), 5000), {
      seconds: 4,
      bytesUp: 10,
      bytesDown: 100,
      messagesUp: undefined,
      messagesDown: undefined,
    })
  })

  it('compares with the look before', () => {
    const rates = new Rates()
    const tunnel = tunnelOf({ bytesUp: 1000 })
    tunnel.look(rates, 5000)
    tunnel.set({ bytesUp: 1020, bytesDown: 6 })
    const { seconds, bytesUp, bytesDown } = tunnel.look(rates, 7000)
    assert.deepEqual({ seconds, bytesUp, bytesDown }, { seconds: 2, bytesUp: 10, bytesDown: 3 })
  })

  it('does not measure over less than a second, however often somebody looks', () => {
    const rates = new Rates()
    const tunnel = tunnelOf({ bytesUp: 1000 })
    tunnel.look(rates, 5000)
    tunnel.set({ bytesUp: 1020 })
    tunnel.look(rates, 7000)
    tunnel.set({ bytesUp: 1050 })
    for (const nowMs of [7100, 7500, 7999]) {
      const { seconds, bytesUp } = tunnel.look(rates, nowMs)
      assert.equal(seconds, (nowMs - 5000) / 1000)
      assert.equal(bytesUp, 50 / seconds)
    }
    assert.deepEqual(tunnel.look(rates, 8000).bytesUp, 30)
  })

  it('counts data messages alone', () => {
    const rates = new Rates()
    const webSocket = (text: number, binary: number) => ({
      up: frameCounts({ text, binary, ping: 50, pong: 50, close: 1, other: 5 }),
      down: frameCounts({ text: 2 * text }),
      close: undefined,
    })
    const tunnel = tunnelOf({ webSocket: webSocket(1, 2) })
    const first = tunnel.look(rates, 2000)
    assert.deepEqual([first.messagesUp, first.messagesDown], [3, 2])
    tunnel.set({ webSocket: webSocket(5, 4) })
    const second = tunnel.look(rates, 4000)
    assert.deepEqual([second.messagesUp, second.messagesDown], [3, 4])
  })

  it('divides by no time in the millisecond of the 101', () => {
    assert.equal(tunnelOf({ bytesUp: 2 }).look(new Rates(), 1000).bytesUp, 2000)
  })

  it('begins anew when the clock is put back', () => {
    const rates = new Rates()
    const tunnel = tunnelOf({ bytesUp: 100 })
    tunnel.look(rates, 60_000)
    assert.deepEqual(tunnel.look(rates, 3000).bytesUp, 50)
    assert.ok(tunnel.look(rates, 500).bytesUp > 0)
  })
})
