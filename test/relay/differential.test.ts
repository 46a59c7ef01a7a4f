/**
 * Random lives of a tunnel through the native relay and through the portable one: the same comes of them.
 *
 *     UPGATE_TEST_SCHEDULES=20000 node --test test/relay/differential.test.ts     more of them
 *     UPGATE_TEST_SEED=17 UPGATE_TEST_SCHEDULES=1 node --test ...                 a certain one
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { relayPortably } from '../../src/relay/portable.ts'
import type { Relay } from '../../src/relay/relay.ts'
import { Sweep } from '../../src/relay/sweep.ts'
import { withNative } from '../support/test-relay.ts'
import { makeFrameSchedule } from './frame-schedule.ts'
import { runFrameSchedule } from './run-frame-schedule.ts'
import { runSchedule } from './run-schedule.ts'
import { makeSchedule } from './schedule.ts'
import { startNative, type StartedNative } from './started-native.ts'

const FIRST_SEED = Number(process.env['UPGATE_TEST_SEED'] ?? 1)
const COUNT = Number(process.env['UPGATE_TEST_SCHEDULES'] ?? 250)
/** How long a schedule may take that takes some milliseconds: after it, something waits for what never comes. */
const HANG_MS = 10_000
/** The fewer bytes a relay reads at once, the more turns it has. */
const BUFFER_BYTES = [4096, 65_536, 262_144]

const sweep = new Sweep()
const portable: Relay = (client, upstream, start) => relayPortably(client, upstream, start, sweep)

/** Runs it, and says which one it was when it fails or hangs. */
async function run<Made extends { readonly seed: number }, Outcome>(
  schedule: Made,
  name: 'native' | 'portable',
  start: (schedule: Made, relay: Relay) => Promise<Outcome>,
  relay: Relay,
): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS)
  })
  try {
    return await Promise.race([start(schedule, relay), hang])
  } catch (error) {
    throw new Error(`${named(schedule)}, through the ${name} relay`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

function named(schedule: { readonly seed: number }): string {
  const shown = JSON.stringify(schedule, (_, value: unknown) =>
    isBytes(value) ? `${value.data.length} bytes` : value,
  )
  return `UPGATE_TEST_SEED=${schedule.seed} UPGATE_TEST_SCHEDULES=1: ${shown}`
}

/** A buffer in JSON. */
function isBytes(value: unknown): value is { readonly data: readonly number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
}

interface Ended {
  readonly by: string
  readonly reason: string
}

describe('the native relay and the portable one', withNative, () => {
  let natives: StartedNative[] = []
  before(() => {
    natives = BUFFER_BYTES.map((bytes) => startNative(bytes))
  })
  after(() => {
    for (const native of natives) native.stop()
  })

  /** Compares what comes of each schedule; returns how many ended in which way. */
  async function compare<Made extends { readonly seed: number }, Outcome extends Ended>(
    make: (seed: number) => Made,
    start: (schedule: Made, relay: Relay) => Promise<Outcome>,
  ): Promise<string> {
    const endings = new Map<string, number>()
    for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed += 1) {
      const schedule = make(seed)
      const { relay } = natives[seed % natives.length] as StartedNative
      const [actual, expected] = await Promise.all([
        run(schedule, 'native', start, relay),
        run(schedule, 'portable', start, portable),
      ])
      assert.deepEqual(actual, expected, named(schedule))
      const ending = `${actual.by} ${actual.reason}`
      endings.set(ending, (endings.get(ending) ?? 0) + 1)
    }
    for (const { left } of natives) assert.equal(left, 0, 'a tunnel was left to the portable relay')
    return `ended by ${[...endings].map(([ending, count]) => `${ending}: ${count}`).join(', ')}`
  }

  it(`let ${COUNT} random tunnels end alike`, { timeout: Infinity }, async (test) => {
    test.diagnostic(await compare(makeSchedule, runSchedule))
  })

  it(`let ${COUNT} random WebSockets end alike`, { timeout: Infinity }, async (test) => {
    test.diagnostic(await compare(makeFrameSchedule, runFrameSchedule))
  })
})
