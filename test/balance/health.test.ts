import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Health } from '../../src/balance/health.ts'

const config = { setAsideMs: 1000, setAsideMaxMs: 5000, whenAllDown: 'try' } as const

describe('Health', () => {
  it('is up and lets everything through until something fails', () => {
    const health = new Health()
    assert.equal(health.up, true)
    assert.equal(health.allows(0), true)
    assert.equal(health.waitMs(0), 0)
    assert.equal(health.begin(), false)
    assert.equal(health.succeeded(), false)
  })

  it('is set aside by a failure for the configured time', () => {
    const health = new Health()
    assert.equal(health.failed(health.epoch, 100, config), true)
    assert.equal(health.up, false)
    assert.equal(health.allows(1099), false)
    assert.equal(health.waitMs(600), 500)
    assert.equal(health.allows(1100), true)
    assert.equal(health.waitMs(1200), 0)
  })

  it('doubles the time at each further failure up to the maximum', () => {
    const health = new Health()
    const waits = Array.from({ length: 5 }, () => {
      health.failed(health.epoch, 0, config)
      return health.waitMs(0)
    })
    assert.deepEqual(waits, [1000, 2000, 4000, 5000, 5000])
  })

  it('reaches no endless time after very many failures', () => {
    const health = new Health()
    for (let i = 0; i < 2000; i += 1) health.failed(health.epoch, 0, config)
    assert.equal(health.waitMs(0), 5000)
  })

  it('counts the failures of requests that began together once', () => {
    const health = new Health()
    const { epoch } = health
    assert.equal(health.failed(epoch, 0, config), true)
    assert.equal(health.failed(epoch, 500, config), false)
    assert.equal(health.waitMs(500), 500)
  })

  it('does not count the failure of a request from before a recovery', () => {
    const health = new Health()
    const { epoch } = health
    health.failed(epoch, 0, config)
    health.succeeded()
    assert.equal(health.failed(epoch, 0, config), false)
    assert.equal(health.up, true)
  })

  it('lets one trial at a time through', () => {
    const health = new Health()
    health.failed(health.epoch, 0, config)
    assert.equal(health.begin(), true)
    assert.equal(health.allows(1000), false)
    health.endTrial()
    assert.equal(health.allows(1000), true)
  })

  it('is up again after a success, and begins anew with the shortest time', () => {
    const health = new Health()
    health.failed(health.epoch, 0, config)
    health.failed(health.epoch, 0, config)
    assert.equal(health.succeeded(), true)
    assert.equal(health.up, true)
    assert.equal(health.failed(health.epoch, 0, config), true)
    assert.equal(health.waitMs(0), 1000)
  })

  it('keeps nobody out for no time at all, not even beside a trial', () => {
    const health = new Health()
    health.failed(health.epoch, 0, {
      setAsideMs: 0,
      setAsideMaxMs: 5000,
      whenAllDown: 'try',
    } as const)
    health.begin()
    assert.equal(health.allows(0), true)
    assert.equal(health.up, false)
  })
})
