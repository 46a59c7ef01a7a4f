import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Standing } from '../../src/auth/grant.ts'
import { Expiry, type ExpiryOptions } from '../../src/tunnels/expiry.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeFile, FakeTunnel, grantAskedAgain, grantUntil } from './granted-tunnel.ts'

/** Half a second past a whole one. */
const START_MS = 1_800_000_000_500
const EXPIRED = ['gateway expired']
const DAY_MS = 24 * 60 * 60 * 1000

function start(options: ExpiryOptions<FakeTunnel> = {}) {
  const clock = new FakeClock(START_MS)
  const expiry = new Expiry<FakeTunnel>({ clock, random: () => 0, ...options })
  const watched = (tunnel: FakeTunnel): FakeTunnel => {
    expiry.watch(tunnel)
    return tunnel
  }
  return { clock, expiry, watched }
}

function endedOf(tunnels: readonly FakeTunnel[]): number {
  return tunnels.filter(({ ends }) => ends.length > 0).length
}

describe('Expiry, of an end that is known', () => {
  it('ends a tunnel at it, not before, and at most a second after it', () => {
    const { clock, watched } = start()
    const whole = watched(new FakeTunnel(grantUntil(START_MS + 2500)))
    const broken = watched(new FakeTunnel(grantUntil(START_MS + 2501)))
    clock.pass(2499)
    assert.deepEqual([whole.ends, broken.ends], [[], []])
    clock.pass(1)
    assert.deepEqual([whole.ends, broken.ends], [EXPIRED, []])
    clock.pass(1000)
    assert.deepEqual([whole.ends, broken.ends], [EXPIRED, EXPIRED])
  })

  it('goes by the earliest of several', () => {
    const { clock, watched } = start()
    const grants = [grantUntil(undefined), grantUntil(START_MS + 9500), grantUntil(START_MS + 4500)]
    const tunnel = watched(new FakeTunnel(...grants))
    clock.pass(4499)
    assert.deepEqual(tunnel.ends, [])
    clock.pass(1)
    assert.deepEqual(tunnel.ends, EXPIRED)
  })

  it('ends a tunnel at once whose credentials ended during its handshake', () => {
    const { clock, watched } = start()
    assert.deepEqual(watched(new FakeTunnel(grantUntil(START_MS))).ends, EXPIRED)
    assert.equal(clock.timers, 0)
  })

  it('keeps time over more days than a timer of node can wait', () => {
    const { clock, watched } = start()
    const tunnel = watched(new FakeTunnel(grantUntil(START_MS + 25 * DAY_MS)))
    clock.pass(25 * DAY_MS - 1)
    assert.deepEqual(tunnel.ends, [])
    clock.pass(1000)
    assert.deepEqual(tunnel.ends, EXPIRED)
  })

  it('follows the wall clock when it is set forward, within a second', () => {
    const { clock, watched } = start()
    const tunnel = watched(new FakeTunnel(grantUntil(START_MS + DAY_MS)))
    clock.pass(5000)
    clock.jump(DAY_MS)
    clock.pass(1000)
    assert.deepEqual(tunnel.ends, EXPIRED)
  })

  it('follows the wall clock when it is set back', () => {
    const { clock, watched } = start()
    const before = watched(new FakeTunnel(grantUntil(START_MS + 3500)))
    clock.pass(1000)
    clock.jump(-DAY_MS)
    const after = watched(new FakeTunnel(grantUntil(START_MS - DAY_MS + 3500)))
    clock.pass(2500)
    assert.deepEqual([before.ends, after.ends], [[], EXPIRED])
    clock.pass(DAY_MS)
    assert.deepEqual(before.ends, EXPIRED)
  })

  it('has one timer for all, and none when nothing ends', () => {
    const { clock, expiry, watched } = start()
    watched(new FakeTunnel(grantUntil(undefined)))
    assert.equal(clock.timers, 0)
    const tunnels = [1500, 2500, 3_000_000].map((ms) =>
      watched(new FakeTunnel(grantUntil(START_MS + ms))),
    )
    assert.equal(clock.timers, 1)
    for (const tunnel of tunnels) expiry.unwatch(tunnel)
    clock.pass(1000)
    assert.equal(clock.timers, 0)
  })

  it('forgets a tunnel that has ended, and does not mind one that it does not know', () => {
    const { clock, expiry, watched } = start()
    const tunnel = watched(new FakeTunnel(grantUntil(START_MS + 1500)))
    expiry.unwatch(tunnel)
    expiry.unwatch(tunnel)
    clock.pass(5000)
    assert.deepEqual(tunnel.ends, [])
  })

  it('ends very many tunnels in slices, between which others have their turn', async () => {
    const { clock, watched } = start()
    const tunnels = Array.from({ length: 1000 }, () =>
      watched(new FakeTunnel(grantUntil(START_MS + 500))),
    )
    clock.pass(500)
    const first = endedOf(tunnels)
    assert.ok(first > 0 && first < 1000, `${first} at once`)
    while (endedOf(tunnels) < 1000) await setImmediate()
    assert.ok(tunnels.every(({ ends }) => ends.length === 1))
  })

  it('does not tell a tunnel to end that has ended between two slices', async () => {
    const { clock, expiry, watched } = start()
    const tunnels = Array.from({ length: 600 }, () =>
      watched(new FakeTunnel(grantUntil(START_MS + 500))),
    )
    clock.pass(500)
    const last = tunnels.at(-1) as FakeTunnel
    expiry.unwatch(last)
    while (endedOf(tunnels) < 599) await setImmediate()
    assert.deepEqual(last.ends, [])
  })
})

describe('Expiry, of entries of a file', () => {
  it('ends the tunnels whose entry a changed file has no more', () => {
    const { watched } = start()
    const file = new FakeFile('ann', 'bob')
    const ann = watched(new FakeTunnel(grantUntil(undefined), file.grant('ann')))
    const bob = watched(new FakeTunnel(file.grant('bob')))
    file.changed()
    assert.deepEqual([ann.ends, bob.ends], [[], []])
    file.users.delete('ann')
    file.changed()
    assert.deepEqual([ann.ends, bob.ends], [EXPIRED, []])
  })

  it('ends a tunnel at once whose entry went during its handshake', () => {
    const { watched } = start()
    const file = new FakeFile()
    assert.deepEqual(watched(new FakeTunnel(file.grant('ann'))).ends, EXPIRED)
    assert.equal(file.listeners, 0)
  })

  it('leaves tunnels alone where their check does not tell of changes', () => {
    const { watched } = start()
    const file = new FakeFile()
    const grant = { ...file.grant('ann'), giver: { name: 'staff' } }
    assert.deepEqual(watched(new FakeTunnel(grant)).ends, [])
  })

  it('listens once to each file, as long as it has tunnels', () => {
    const { clock, expiry, watched } = start()
    const file = new FakeFile('ann')
    const tunnels = Array.from({ length: 3 }, () => watched(new FakeTunnel(file.grant('ann'))))
    assert.deepEqual([file.listeners, clock.timers], [1, 0])
    for (const tunnel of tunnels) expiry.unwatch(tunnel)
    assert.equal(file.listeners, 0)
    watched(new FakeTunnel(file.grant('ann')))
    assert.equal(file.listeners, 1)
  })

  it('asks very many tunnels in slices, and all of them anew when the file changes meanwhile', async () => {
    const { watched } = start()
    const file = new FakeFile('ann', 'bob')
    const tunnels = Array.from({ length: 1000 }, (_, index) =>
      watched(new FakeTunnel(file.grant(index % 2 === 0 ? 'ann' : 'bob'))),
    )
    file.users.delete('ann')
    file.changed()
    const first = endedOf(tunnels)
    assert.ok(first > 0 && first < 500, `${first} at once`)
    file.users.delete('bob')
    file.changed()
    while (endedOf(tunnels) < 1000) await setImmediate()
  })
})

describe('Expiry, of a server that is asked again', () => {
  it('ends a tunnel when the answer is no', async () => {
    const { clock, watched } = start()
    const answers: Standing[] = [{ is: 'holds' }, { is: 'ended' }]
    const ask = () => Promise.resolve(answers.shift() as Standing)
    const recheck = { everyMs: 10_000, onError: 'keep', ask } as const
    const tunnel = watched(new FakeTunnel(grantAskedAgain({ name: 'portal' }, recheck)))
    clock.pass(11_000)
    await setImmediate()
    assert.deepEqual([answers.length, tunnel.ends], [1, []])
    clock.pass(11_000)
    await setImmediate()
    assert.deepEqual([answers.length, tunnel.ends], [0, EXPIRED])
    clock.pass(1000)
    assert.equal(clock.timers, 0)
  })

  it('tells which tunnel it could not ask about, and why', async () => {
    const failures: unknown[] = []
    const onRecheckFailed = (...failure: unknown[]): void => void failures.push(failure)
    const { clock, watched } = start({ onRecheckFailed })
    const ask = () => Promise.resolve<Standing>({ is: 'unknown', cause: 'down' })
    const grant = grantAskedAgain({ name: 'portal' }, { everyMs: 1000, onError: 'close', ask })
    const tunnel = watched(new FakeTunnel(grant))
    clock.pass(2000)
    await setImmediate()
    assert.deepEqual(tunnel.ends, EXPIRED)
    assert.equal(failures.length, 1)
    assert.deepEqual(failures[0], [tunnel, grant, 'down'])
  })
})

describe('Expiry#regrant', () => {
  it('goes by the new grants alone', () => {
    const { clock, expiry, watched } = start()
    const before = new FakeFile('ann')
    const after = new FakeFile('ann')
    const tunnel = watched(new FakeTunnel(before.grant('ann'), grantUntil(START_MS + 1500)))
    expiry.regrant(tunnel, [after.grant('ann')])
    assert.deepEqual([before.listeners, after.listeners], [0, 1])
    clock.pass(5000)
    assert.deepEqual(tunnel.ends, [])
    after.users.delete('ann')
    after.changed()
    assert.deepEqual(tunnel.ends, EXPIRED)
    expiry.unwatch(tunnel)
    assert.equal(after.listeners, 0)
  })

  it('takes all grants from a tunnel whose route asks for none any more', () => {
    const { clock, expiry, watched } = start()
    const tunnel = watched(new FakeTunnel(grantUntil(START_MS + 1500)))
    expiry.regrant(tunnel, [])
    clock.pass(5000)
    assert.deepEqual([tunnel.ends, tunnel.grants], [[], []])
  })

  it('does not begin the interval of a question anew that stays', async () => {
    const { clock, expiry, watched } = start()
    let asked = 0
    const ask = () => {
      asked += 1
      return Promise.resolve<Standing>({ is: 'holds' })
    }
    const stays = grantAskedAgain({ name: 'portal' }, { everyMs: 10_000, onError: 'keep', ask })
    const goes = grantAskedAgain({ name: 'door' }, { everyMs: 10_000, onError: 'keep', ask })
    const tunnel = watched(new FakeTunnel(goes, stays))
    clock.pass(9000)
    expiry.regrant(tunnel, [stays])
    clock.pass(2000)
    await setImmediate()
    assert.equal(asked, 1)
  })
})

describe('Expiry#close', () => {
  it('leaves no timer and no listener, and ends nothing any more', () => {
    const { clock, expiry, watched } = start()
    const file = new FakeFile('ann')
    const tunnel = watched(new FakeTunnel(grantUntil(START_MS + 1500), file.grant('ann')))
    expiry.close()
    assert.deepEqual([clock.timers, file.listeners], [0, 0])
    const late = watched(new FakeTunnel(grantUntil(START_MS - 1)))
    expiry.unwatch(tunnel)
    clock.pass(5000)
    assert.deepEqual([tunnel.ends, late.ends], [[], []])
  })
})
