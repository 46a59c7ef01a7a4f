import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Place, RefusedCount, shareOf, SharedLimit } from '../src/share.ts'

function taken(limit: SharedLimit, key: string | undefined): Place {
  const place = limit.take(key)
  assert.ok(place instanceof Place, `no place for ${key}`)
  return place
}

describe('SharedLimit', () => {
  it('gives one key an eighth of its places, and never less than four', () => {
    const shares = [1, 8, 32, 39, 40, 1000, Infinity].map(shareOf)
    assert.deepEqual(shares, [4, 4, 4, 4, 5, 125, Infinity])
  })

  it('refuses a key above its share and takes others, until all places are taken', () => {
    const limit = new SharedLimit(40)
    for (let count = 0; count < 5; count += 1) taken(limit, 'greedy')
    assert.equal(limit.take('greedy'), 'share')
    for (let count = 0; count < 35; count += 1) taken(limit, `other-${count}`)
    assert.equal(limit.take('late'), 'full')
  })

  it('counts what has no key in all alone', () => {
    const limit = new SharedLimit(40)
    for (let count = 0; count < 40; count += 1) taken(limit, undefined)
    assert.equal(limit.take(undefined), 'full')
  })

  it('has a place again after the first call of leave, and none more after a second', () => {
    const limit = new SharedLimit(2)
    const place = taken(limit, 'a')
    taken(limit, 'a')
    place.leave()
    place.leave()
    taken(limit, 'a')
    assert.equal(limit.take('a'), 'full')
  })

  it('moves a place to the key that it is for, unless that one holds its share', () => {
    const limit = new SharedLimit(100)
    for (let count = 0; count < 11; count += 1) taken(limit, 'client')
    const first = taken(limit, undefined)
    const second = taken(limit, 'proxy')
    assert.equal(first.moveTo('client'), true)
    assert.equal(first.moveTo('client'), true)
    assert.equal(second.moveTo('client'), false)
    first.leave()
    assert.equal(second.moveTo('client'), true)
    assert.equal(limit.take('client'), 'share')
    second.leave()
    assert.equal(second.moveTo('other'), true)
    taken(limit, 'client')
  })

  it('holds for places to come when it changes, and takes none away', () => {
    const limit = new SharedLimit(Infinity)
    const places = Array.from({ length: 50 }, () => taken(limit, 'a'))
    limit.max = 80
    assert.equal(limit.take('a'), 'share')
    for (const place of places.slice(0, 41)) place.leave()
    taken(limit, 'a')
    assert.equal(limit.take('a'), 'share')
  })

  it('knows no key that holds nothing', () => {
    const limit = new SharedLimit(8)
    for (let count = 0; count < 10_000; count += 1) {
      const place = taken(limit, `a-${count}`)
      place.moveTo(`b-${count}`)
      place.leave()
    }
    for (let count = 0; count < 4; count += 1) taken(limit, 'b-1')
    assert.equal(limit.take('b-1'), 'share')
  })
})

describe('RefusedCount', () => {
  it('counts by the reason, and remembers the last address', () => {
    const count = new RefusedCount()
    count.add('full', '192.0.2.1')
    count.add('share', '192.0.2.2')
    count.add('share', '192.0.2.3')
    const { full, share, address } = count
    assert.deepEqual([full, share, address], [1, 2, '192.0.2.3'])
  })
})
