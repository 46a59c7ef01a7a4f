import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LocalAddresses } from '../../src/balance/local-addresses.ts'

const BOTH = ['10.0.0.5', '2001:db8::5', '10.0.0.6', '10.0.0.7']

describe('addresses of ours', () => {
  it('are the first one in turn, each followed by the others', () => {
    const local = new LocalAddresses(BOTH)
    const turns = [1, 2, 3, 4].map(() => local.inTurn('192.0.2.1').join(' '))
    assert.deepEqual(turns, [
      '10.0.0.5 10.0.0.6 10.0.0.7',
      '10.0.0.6 10.0.0.7 10.0.0.5',
      '10.0.0.7 10.0.0.5 10.0.0.6',
      '10.0.0.5 10.0.0.6 10.0.0.7',
    ])
  })

  it('are of the family of the host, and take no turn of the other one', () => {
    const local = new LocalAddresses(BOTH)
    assert.deepEqual(local.inTurn('192.0.2.1')[0], '10.0.0.5')
    assert.deepEqual(local.inTurn('2001:db8::1'), ['2001:db8::5'])
    assert.deepEqual(local.inTurn('192.0.2.1')[0], '10.0.0.6')
    assert.deepEqual([local.has('192.0.2.1'), local.has('2001:db8::1')], [true, true])
  })

  it('may be none', () => {
    const local = new LocalAddresses(['2001:db8::5'])
    assert.equal(local.has('192.0.2.1'), false)
    assert.deepEqual(local.inTurn('192.0.2.1'), [])
  })

  it('go on in turn when a new config has the same ones, and begin anew with others', () => {
    const before = LocalAddresses.of(['10.0.0.5', '10.0.0.6'])
    assert.ok(before !== undefined)
    before.inTurn('192.0.2.1')
    assert.equal(LocalAddresses.of(['10.0.0.5', '10.0.0.6'], before), before)
    const after = LocalAddresses.of(['10.0.0.5', '10.0.0.7'], before)
    assert.equal(after?.inTurn('192.0.2.1')[0], '10.0.0.5')
    assert.equal(LocalAddresses.of(undefined, before), undefined)
  })
})
