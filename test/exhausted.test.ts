import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exhaustion, isExhaustion, missingNow } from '../src/exhausted.ts'

describe('exhaustion', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
    it(`is the gateway's own fault after ${code}, with a time to come back`, () => {
      const refusal = exhaustion({ code, message: `connect ${code} 192.0.2.1:80` })
      assert.equal(refusal?.code, 'E_GATEWAY_EXHAUSTED')
      assert.equal(refusal.details.cause, `connect ${code} 192.0.2.1:80`)
      assert.ok((refusal.details.retryAfterSeconds ?? 0) > 0)
      assert.equal(isExhaustion(code), true)
    })
  }

  it('names the code where the message does not', () => {
    assert.equal(exhaustion({ code: 'EMFILE', message: '' })?.details.cause, 'EMFILE: ')
  })

  it('is nothing that an endpoint or a resolver did while there are descriptors', () => {
    for (const code of ['ECONNREFUSED', 'EADDRNOTAVAIL', undefined]) {
      assert.equal(exhaustion({ code, message: 'connect' }), undefined)
      assert.equal(isExhaustion(code), false)
    }
    const notFound = { code: 'EAI_AGAIN', syscall: 'getaddrinfo', message: 'getaddrinfo EAI_AGAIN' }
    assert.equal(exhaustion(notFound), undefined)
    assert.equal(missingNow(), undefined)
  })
})
