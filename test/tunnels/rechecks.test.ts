import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Grant, Recheck, Standing } from '../../src/auth/grant.ts'
import { Rechecks } from '../../src/tunnels/rechecks.ts'
import { FakeClock } from './fake-clock.ts'
import { grantAskedAgain } from './granted-tunnel.ts'

const HOLDS: Standing = { is: 'holds' }
const DOWN: Standing = { is: 'unknown', cause: 'down' }

/** An authorization server whose answers are given by hand, or are always the same. */
class FakeServer {
  readonly name = 'portal'
  /** Second of uptime of each question. */
  readonly asked: number[] = []
  answer: Standing | undefined
  readonly #clock: FakeClock
  readonly #open: ((standing: Standing) => void)[] = []

  constructor(clock: FakeClock, answer?: Standing) {
    this.#clock = clock
    this.answer = answer
  }

  grant(changes: Partial<Recheck> = {}): Grant {
    const ask = (): Promise<Standing> => {
      this.asked.push(this.#clock.uptimeMs() / 1000)
      if (this.answer !== undefined) return Promise.resolve(this.answer)
      return new Promise((resolve) => this.#open.push(resolve))
    }
    return grantAskedAgain(this, { everyMs: 60_000, onError: 'keep', ask, ...changes })
  }

  /** Answers all questions that wait for it. */
  async reply(standing: Standing): Promise<void> {
    for (const resolve of this.#open.splice(0)) resolve(standing)
    await setImmediate()
  }
}

function start(random: () => number = () => 0) {
  const clock = new FakeClock(0)
  const ended: string[] = []
  const failed: string[] = []
  const rechecks = new Rechecks<string>({
    clock,
    random,
    onEnded: (tunnel) => ended.push(tunnel),
    onFailed: (tunnel, _, cause) => failed.push(`${tunnel}: ${cause}`),
  })
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      clock.pass(1000)
      rechecks.tick()
      await setImmediate()
    }
  }
  return { clock, rechecks, ended, failed, pass }
}

describe('Rechecks', () => {
  it('asks once in each interval', async () => {
    const { clock, rechecks, pass } = start()
    const server = new FakeServer(clock, HOLDS)
    rechecks.add('a', server.grant())
    await pass(200)
    assert.deepEqual(server.asked, [60, 120, 180])
  })

  it('spreads tunnels that were opened together over the last quarter of the interval', async () => {
    const numbers = [0, 0.25, 0.5, 0.75, 0.99]
    const { clock, rechecks, pass } = start(() => numbers.shift() ?? 0)
    const server = new FakeServer(clock, HOLDS)
    for (const tunnel of ['a', 'b', 'c', 'd', 'e']) rechecks.add(tunnel, server.grant())
    await pass(60)
    assert.deepEqual(server.asked, [46, 49, 53, 57, 60])
  })

  it('asks 16 questions at a time, and the others in their order as answers come', async () => {
    const { clock, rechecks, pass } = start()
    const server = new FakeServer(clock)
    for (let index = 0; index < 40; index += 1) rechecks.add(`t${index}`, server.grant())
    await pass(60)
    assert.equal(server.asked.length, 16)
    await server.reply(HOLDS)
    assert.equal(server.asked.length, 32)
    await server.reply(HOLDS)
    assert.equal(server.asked.length, 40)
  })

  it('lets no server wait for another one', async () => {
    const { clock, rechecks, pass } = start()
    const silent = new FakeServer(clock)
    const other = new FakeServer(clock, HOLDS)
    for (let index = 0; index < 40; index += 1) rechecks.add(`t${index}`, silent.grant())
    rechecks.add('other', other.grant())
    await pass(60)
    assert.deepEqual(other.asked, [60])
  })

  it('ends a tunnel that the server does not let stay, and asks no more', async () => {
    const { clock, rechecks, ended, pass } = start()
    const server = new FakeServer(clock, { is: 'ended' })
    rechecks.add('a', server.grant())
    await pass(200)
    assert.deepEqual([ended, server.asked, rechecks.isEmpty], [['a'], [60], true])
  })

  it('asks again with growing pauses, and keeps the tunnel when the interval is over', async () => {
    const { clock, rechecks, ended, failed, pass } = start()
    const server = new FakeServer(clock, DOWN)
    rechecks.add('a', server.grant())
    await pass(140)
    assert.deepEqual(server.asked, [60, 61, 63, 67, 75, 91])
    assert.deepEqual([ended, failed], [[], ['a: down']])
    server.answer = { is: 'ended' }
    await pass(20)
    assert.deepEqual([server.asked.at(-1), ended], [151, ['a']])
  })

  it('asks again within an interval of two seconds, whenever in a second it looks', async () => {
    const { clock, rechecks, ended, pass } = start()
    const server = new FakeServer(clock)
    clock.pass(600)
    rechecks.add('a', server.grant({ everyMs: 2000, onError: 'close' }))
    await pass(3)
    assert.deepEqual(server.asked, [3.6])
    clock.pass(50)
    await server.reply(DOWN)
    clock.pass(950)
    rechecks.tick()
    assert.deepEqual(server.asked, [3.6, 4.6])
    await server.reply(HOLDS)
    assert.deepEqual(ended, [])
  })

  it('closes the tunnel then, where that is wanted', async () => {
    const { clock, rechecks, ended, failed, pass } = start()
    const server = new FakeServer(clock, DOWN)
    rechecks.add('a', server.grant({ onError: 'close' }))
    await pass(90)
    assert.deepEqual([ended, failed], [[], []])
    await pass(1)
    assert.deepEqual([ended, failed], [['a'], ['a: down']])
    assert.equal(rechecks.isEmpty, true)
  })

  it('forgets failures when an answer comes', async () => {
    const { clock, rechecks, ended, failed, pass } = start()
    const server = new FakeServer(clock, DOWN)
    rechecks.add('a', server.grant({ onError: 'close' }))
    await pass(70)
    server.answer = HOLDS
    await pass(10)
    assert.deepEqual(server.asked, [60, 61, 63, 67, 75])
    server.answer = DOWN
    await pass(80)
    assert.deepEqual(server.asked.slice(5), [135, 136, 138, 142, 150])
    assert.deepEqual([ended, failed], [[], []])
  })

  it('tells of the first of a row of failures alone, and again after an answer', async () => {
    const { clock, rechecks, failed, pass } = start()
    const server = new FakeServer(clock, DOWN)
    rechecks.add('a', server.grant())
    rechecks.add('b', server.grant())
    await pass(91)
    assert.deepEqual(failed, ['a: down'])
    server.answer = HOLDS
    await pass(60)
    server.answer = DOWN
    await pass(91)
    assert.deepEqual(failed, ['a: down', 'a: down'])
  })

  it('does not let a long line wait for a server that answers nothing', async () => {
    const { clock, rechecks, ended, pass } = start()
    const server = new FakeServer(clock)
    for (let index = 0; index < 100; index += 1) {
      rechecks.add(`t${index}`, server.grant({ onError: 'close' }))
    }
    await pass(121)
    assert.equal(server.asked.length, 16)
    await server.reply(DOWN)
    assert.equal(ended.length, 100)
  })

  it('does not hear the answer about a tunnel that has ended meanwhile, and asks the next', async () => {
    const { clock, rechecks, ended, pass } = start()
    const server = new FakeServer(clock)
    const grants = Array.from({ length: 18 }, () => server.grant())
    grants.forEach((grant, index) => rechecks.add(`t${index}`, grant))
    await pass(60)
    rechecks.delete(grants[0] as Grant)
    rechecks.delete(grants[16] as Grant)
    await server.reply({ is: 'ended' })
    assert.equal(server.asked.length, 17)
    assert.equal(ended.length, 15)
    assert.ok(!ended.includes('t0'))
  })

  it('does not begin an interval anew for a grant that it knows, and needs a question', async () => {
    const { clock, rechecks, pass } = start()
    const server = new FakeServer(clock, HOLDS)
    const grant = server.grant()
    rechecks.add('a', grant)
    await pass(30)
    rechecks.add('a', grant)
    await pass(30)
    assert.deepEqual(server.asked, [60])
    rechecks.clear()
    assert.equal(rechecks.isEmpty, true)
    const { recheck: _, ...without } = grant
    rechecks.add('b', without)
    assert.equal(rechecks.isEmpty, true)
    await pass(60)
    assert.deepEqual(server.asked, [60])
  })
})
