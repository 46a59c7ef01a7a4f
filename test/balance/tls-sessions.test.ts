import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TlsSessions } from '../../src/balance/tls-sessions.ts'

const HOUR_MS = 3_600_000

function sessionsAt(clock: { nowMs: number }): TlsSessions {
  return new TlsSessions(() => clock.nowMs)
}

/** The first byte of each session that is taken. */
function take(sessions: TlsSessions, times: number): (number | undefined)[] {
  return Array.from({ length: times }, () => sessions.take()?.data[0])
}

describe('TlsSessions', () => {
  it('has none at first', () => {
    assert.equal(new TlsSessions().take(), undefined)
  })

  it('gives out tickets once, the newest first, but the last one again and again', () => {
    const sessions = new TlsSessions()
    for (const byte of [1, 2, 3]) sessions.keep(Buffer.of(byte), true)
    assert.deepEqual(take(sessions, 5), [3, 2, 1, 1, 1])
    sessions.keep(Buffer.of(4), true)
    assert.deepEqual(take(sessions, 2), [4, 1])
  })

  it('gives out the last session that may be resumed often, again and again', () => {
    const sessions = new TlsSessions()
    for (const byte of [1, 2]) sessions.keep(Buffer.of(byte), false)
    sessions.keep(Buffer.of(3), true)
    sessions.keep(Buffer.of(4), false)
    assert.deepEqual(take(sessions, 3), [4, 4, 4])
  })

  it('keeps 64 tickets, the newest ones', () => {
    const sessions = new TlsSessions()
    for (let byte = 0; byte < 100; byte += 1) sessions.keep(Buffer.of(byte), true)
    const newest = Array.from({ length: 64 }, (_, index) => 99 - index)
    assert.deepEqual(take(sessions, 65), [...newest, 36])
  })

  it('gives out none for longer than an hour after the full handshake, however often it was resumed', () => {
    for (const isSingleUse of [true, false]) {
      const clock = { nowMs: 0 }
      const sessions = sessionsAt(clock)
      sessions.keep(Buffer.of(0), isSingleUse)
      for (clock.nowMs = 1; clock.nowMs < HOUR_MS; clock.nowMs += 600_000) {
        const taken = sessions.take()
        assert.ok(taken)
        sessions.keep(Buffer.of(1), isSingleUse, taken.checkedAtMs)
      }
      clock.nowMs = HOUR_MS
      assert.equal(sessions.take(), undefined)
      sessions.keep(Buffer.of(2), isSingleUse)
      assert.equal(sessions.take()?.data[0], 2)
    }
  })

  it('passes over one that is too old for a younger one', () => {
    const clock = { nowMs: 0 }
    const sessions = sessionsAt(clock)
    sessions.keep(Buffer.of(1), true)
    const oldest = sessions.take()
    assert.ok(oldest)
    clock.nowMs = HOUR_MS / 2
    sessions.keep(Buffer.of(2), true)
    sessions.keep(Buffer.of(3), true, oldest.checkedAtMs)
    clock.nowMs = HOUR_MS
    assert.deepEqual(take(sessions, 2), [2, 2])
  })

  it('forgets one that was refused, and all that are older', () => {
    const sessions = new TlsSessions()
    for (const byte of [1, 2, 3]) sessions.keep(Buffer.of(byte), true)
    const third = sessions.take()
    const second = sessions.take()
    assert.ok(second && third)
    sessions.keep(Buffer.of(4), true)
    sessions.refused(second)
    assert.deepEqual(take(sessions, 2), [4, 4])
    sessions.refused(third)
    assert.deepEqual(take(sessions, 2), [4, 4])
  })
})
