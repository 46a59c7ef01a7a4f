import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkAddress } from '../../src/auth/address.ts'
import { addressSet } from '../../src/request/address-set.ts'
import { fakeFacts } from './fake-facts.ts'

describe('checkAddress', () => {
  const allowed = addressSet(['192.0.2.0/24', '::1'])

  it('lets clients from the blocks pass', () => {
    assert.equal(checkAddress(allowed, fakeFacts({ clientIp: '192.0.2.7' })), undefined)
    assert.equal(checkAddress(allowed, fakeFacts({ clientIp: '::1' })), undefined)
  })

  it('denies other clients, and says which', () => {
    const refusal = checkAddress(allowed, fakeFacts({ clientIp: '198.51.100.1' }))
    assert.equal(refusal?.code, 'E_ADDRESS_DENIED')
    assert.equal(refusal?.details.cause, 'client address 198.51.100.1')
  })

  it('denies a client that is not known', () => {
    const refusal = checkAddress(allowed, fakeFacts({ clientIp: '' }))
    assert.equal(refusal?.details.cause, 'client address unknown')
  })
})
