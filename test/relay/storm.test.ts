/**
 * Many short tunnels through one gateway process, hundreds at once, ended by either side with a FIN or a reset, some of
 * them in the middle of their traffic. Nothing of them may stay.
 *
 *     npm run test:storm     100,000 of them
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testRelay, withNative } from '../support/test-relay.ts'
import { StormGateway } from './storm-gateway.ts'
import { stormClient, stormUpstream } from './storm-peers.ts'

const MIB = 1024 * 1024
const TUNNELS = Number(process.env['UPGATE_TEST_STORM'] ?? 10_000)
const AT_ONCE = 400
const TENTHS = 10
/** The last tenths are compared with those before them; the first ones are V8's and the allocator's to grow in. */
const SETTLED_AFTER = 4
/**
 * How much more the last three tenths may hold than the three before them: in a storm of 100,000 that is 280 bytes for
 * each of the 30,000 tunnels between them.
 */
const GROWTH_BYTES_MAX = 8 * MIB

const UPSTREAM_ADDRESSES = ['127.0.1.1', '127.0.1.2', '127.0.1.3', '127.0.1.4']

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** `count` tunnels, at most `AT_ONCE` at a time. Each worker has an address of its own, and so ports of its own. */
async function storm(port: number, count: number): Promise<string[]> {
  const faults: string[] = []
  let started = 0
  await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, worker) => {
      while (started < count) {
        started += 1
        const fault = await stormClient(port, `127.0.0.${2 + (worker % 200)}`)
        if (fault !== undefined) faults.push(fault)
      }
    }),
  )
  return faults
}

describe('a storm of tunnels', { skip: testRelay === 'native' && withNative.skip }, () => {
  it(`leaves nothing of ${TUNNELS} tunnels behind`, { timeout: Infinity }, async (test) => {
    await using upstream = await stormUpstream(UPSTREAM_ADDRESSES)
    await using gateway = await StormGateway.start(
      `routes: [{ upgrade: [tcp], upstream: ${JSON.stringify(upstream.urls)} }]`,
    )
    assert.equal(gateway.relay, testRelay)

    /** A part of the storm, and all of it is over. */
    const part = async (count: number): Promise<void> => {
      const expected = gateway.closed + count
      assert.deepEqual(await storm(gateway.port, count), [])
      await gateway.until(() => gateway.closed === expected)
    }
    await part(AT_ONCE)
    const descriptors = await gateway.descriptors()
    const memory: number[] = []
    for (let tenth = 1; tenth <= TENTHS; tenth += 1) {
      const startMs = performance.now()
      await part(TUNNELS / TENTHS)
      const rate = TUNNELS / TENTHS / ((performance.now() - startMs) / 1000)
      const bytes = await gateway.memory()
      memory.push(bytes)
      test.diagnostic(
        `${gateway.closed} tunnels, ${rate.toFixed(0)}/s: ${(bytes / MIB).toFixed(1)} MiB resident`,
      )
    }
    assert.equal(await gateway.descriptors(), descriptors)
    assert.deepEqual(upstream.faults, [])
    assert.equal(upstream.open(), 0)

    const total = TUNNELS + AT_ONCE
    assert.deepEqual([gateway.opened, gateway.closed, gateway.open.size], [total, total, 0])
    assert.equal(await gateway.metric('upgate_tunnels_closed_total'), total)
    assert.equal(await gateway.metric('upgate_tunnel_seconds_count'), total)
    assert.equal(await gateway.metric('upgate_handshakes_total'), total)
    assert.equal(await gateway.metric('upgate_tunnels_open'), 0)
    test.diagnostic([...gateway.ends].map(([end, count]) => `${end}: ${count}`).join(', '))

    const settled = memory.slice(SETTLED_AFTER)
    const growth = mean(settled.slice(-3)) - mean(settled.slice(0, 3))
    test.diagnostic(`the last tenths hold ${(growth / MIB).toFixed(1)} MiB more`)
    assert.ok(growth <= GROWTH_BYTES_MAX, `${growth} bytes more`)
    assert.equal(await gateway.stop(), 0)
  })
})
