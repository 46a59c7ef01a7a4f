/**
 * A fleet of WebSocket clients through everything that ends tunnels elsewhere.
 *
 *     npm run test:fleet     2,000 of them, and a reload each second for a minute
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setInterval } from 'node:timers/promises'
import { Fleet } from '../support/fleet.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { testRelay, withNative } from '../support/test-relay.ts'

const CLIENTS = Number(process.env['UPGATE_TEST_CLIENTS'] ?? 200)
const RELOADS = Number(process.env['UPGATE_TEST_RELOADS'] ?? 20)
const RELOAD_EVERY_MS = Number(process.env['UPGATE_TEST_RELOAD_EVERY_MS'] ?? 50)
/** A message every so often for each client, so that the whole fleet sends some 2,000 a second. */
const PERIOD_MS = Math.max(50, CLIENTS / 2)
/** The longest that a message may take while routes come and go: what two busy cores need for 2,000 clients, with room. */
const DELAY_MS_MAX = 2000

const CHAT = `
  - name: chat
    match: { path: /chat }
    limits: { tunnels: 5000 }
    keepalive: { ping: 5s, timeout: 30s }
    upstream: chat`

/** A config whose route `chat` is always the same, and whose others never are. */
function changing(turn: number): string {
  return `
upstreams:
  chat: { endpoints: [builtin:echo] }
  other: { endpoints: ["http://127.0.0.1:${1 + (turn % 3)}"] }
routes:
  - { name: "other-${turn}", match: { path: /other }, timeouts: { idle: ${turn + 1}s }, upstream: other }${CHAT}
  - { name: rest, match: { path: /rest-${turn % 2} }, upstream: other }
`
}

describe('a fleet of clients', { skip: testRelay === 'native' && withNative.skip }, () => {
  it(
    `of ${CLIENTS} does not notice ${RELOADS} reloads that change other routes`,
    { timeout: 60_000 + RELOADS * RELOAD_EVERY_MS * 4 },
    async (test) => {
      await using gateway = await startGatewayProcess(changing(0))
      const url = `ws://127.0.0.1:${gateway.port}/chat`
      await using fleet = await Fleet.start(url, CLIENTS, PERIOD_MS)
      let turn = 0
      for await (const _ of setInterval(RELOAD_EVERY_MS)) {
        turn += 1
        await gateway.rewrite(changing(turn))
        gateway.program.child.kill('SIGHUP')
        await gateway.log('config reloaded', turn)
        if (turn === RELOADS) break
      }
      const { open, echoes, worstMs, wrong, closes } = await fleet.report()
      test.diagnostic(
        `${echoes} messages through ${turn} reloads, ${closes.length} closed, ${wrong} wrong, ${worstMs.toFixed(0)} ms at most`,
      )
      assert.deepEqual(closes, [])
      assert.equal(open, CLIENTS)
      assert.equal(wrong, 0)
      assert.ok(echoes > CLIENTS, `${echoes} messages`)
      assert.ok(worstMs < DELAY_MS_MAX, `${worstMs} ms`)
      assert.deepEqual(gateway.logged('tunnel close'), [])
    },
  )

  it(
    `of ${CLIENTS} is told to go away one after the other when the gateway stops`,
    { timeout: 120_000 },
    async (test) => {
      const drainMs = Math.max(2000, CLIENTS * 5)
      await using gateway = await startGatewayProcess(`
shutdown: { drain: ${drainMs}ms }
routes: [{ name: chat, upstream: builtin:echo, close: { drain: { code: 1012, retryAfter: 10s } } }]
`)
      const url = `ws://127.0.0.1:${gateway.port}/chat`
      await using fleet = await Fleet.start(url, CLIENTS, PERIOD_MS)
      const startMs = Date.now()
      gateway.program.child.kill('SIGTERM')
      const { closes, wrong } = await fleet.closed()
      const { code } = await gateway.program.exited
      assert.equal(code, 0)
      assert.equal(wrong, 0)
      assert.deepEqual(
        closes.filter((close) => close.code !== 1012),
        [],
      )
      assert.deepEqual(
        [...new Set(closes.map(({ reason }) => reason))],
        ['going away; retry after 10s'],
      )
      const seconds = Map.groupBy(closes, ({ atMs }) => Math.floor((atMs - startMs) / 1000))
      const busiest = Math.max(...[...seconds.values()].map(({ length }) => length))
      const pace = (CLIENTS / drainMs) * 1000
      const lastMs = (closes.at(-1)?.atMs ?? 0) - startMs
      test.diagnostic(
        `closed in ${lastMs} ms of ${drainMs}, at most ${busiest} in a second, where the pace is ${pace.toFixed(0)}`,
      )
      // A second of the clients is not one of the gateway's: what is late in one comes in the next.
      assert.ok(busiest <= pace * 1.3 + 2, `${busiest} in a second`)
      assert.ok(lastMs > drainMs / 2, `all closed within ${lastMs} ms`)
    },
  )

  it('whose machine vanishes is found by pings', { timeout: 60_000 }, async (test) => {
    const count = 20
    const ping = 300
    const timeout = 500
    await using gateway = await startGatewayProcess(`
routes: [{ name: chat, upstream: builtin:echo, keepalive: { ping: ${ping}ms, timeout: ${timeout}ms } }]
`)
    const url = `ws://127.0.0.1:${gateway.port}/chat`
    await using alive = await Fleet.start(url, count, 50)
    await using vanished = await Fleet.start(url, count, 50)
    const startMs = Date.now()
    vanished.freeze()
    const lines = await gateway.log('tunnel close', count)
    for (const line of lines) {
      assert.equal(line['reason'], 'dead')
      assert.equal(line['by'], 'gateway')
    }
    const times = lines.map((line) => Date.parse(String(line['time'])) - startMs)
    test.diagnostic(
      `found after ${Math.min(...times)} to ${Math.max(...times)} ms, where ping and timeout are ${ping + timeout}`,
    )
    // The portable relay looks at its tunnels now and then: within an eighth, and a second at most.
    assert.ok(Math.max(...times) < ping + timeout + 1500)
    const { open, closes } = await alive.report()
    assert.deepEqual(closes, [])
    assert.equal(open, count)
  })
})
