import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DueList } from '../../src/tunnels/due-list.ts'

describe('DueList', () => {
  it('gives out what is due, second by second, and each item once', () => {
    const list = new DueList<string>()
    list.add(10, 'a')
    list.add(12, 'b')
    list.add(12, 'c')
    list.add(13, 'd')
    assert.deepEqual(list.take(9), [])
    assert.deepEqual(list.take(10), ['a'])
    assert.deepEqual(list.take(11), [])
    assert.deepEqual(list.take(12), ['b', 'c'])
    assert.deepEqual(list.take(12), [])
    assert.equal(list.isEmpty, false)
    assert.deepEqual(list.take(13), ['d'])
    assert.equal(list.isEmpty, true)
  })

  it('gives out everything that a jump has passed', () => {
    const list = new DueList<string>()
    list.take(10)
    list.add(11, 'a')
    list.add(500, 'b')
    list.add(501, 'c')
    assert.deepEqual(list.take(500), ['a', 'b'])
  })

  it('gives out what was added for a second that has been taken, also after a jump back', () => {
    const list = new DueList<string>()
    list.take(10)
    list.add(8, 'late')
    list.add(11, 'next')
    assert.deepEqual(list.take(11), ['late', 'next'])
    list.take(5)
    list.add(7, 'again')
    assert.deepEqual(list.take(6), [])
    assert.deepEqual(list.take(7), ['again'])
  })

  it('forgets an item, and does not mind one that is not there', () => {
    const list = new DueList<string>()
    list.add(10, 'a')
    list.add(10, 'b')
    list.delete(10, 'a')
    list.delete(10, 'a')
    list.delete(11, 'b')
    assert.deepEqual(list.take(10), ['b'])
    list.add(20, 'c')
    list.delete(20, 'c')
    assert.equal(list.isEmpty, true)
  })
})
