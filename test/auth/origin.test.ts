import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkOrigin, compileOrigins } from '../../src/auth/origin.ts'
import { fakeFacts } from './fake-facts.ts'

const allowed = compileOrigins([
  'https://app.example.com',
  'http://localhost:3000',
  'HTTPS://Shop.example.com:443',
  'chrome-extension://abcdef',
  'http://[::1]:8080',
])

function causeOf(...origins: string[]): string | undefined {
  const fields = origins.flatMap((origin) => ['Origin', origin])
  const refusal = checkOrigin(allowed, fakeFacts({ fields }))
  if (refusal !== undefined) assert.equal(refusal.code, 'E_ORIGIN_DENIED')
  return refusal?.details.cause
}

describe('checkOrigin', () => {
  const right = [
    'https://app.example.com',
    'HTTPS://APP.example.COM',
    'https://app.example.com:443',
    'https://shop.example.com',
    'http://localhost:3000',
    'chrome-extension://abcdef',
    'http://[::1]:8080',
  ]
  for (const origin of right) {
    it(`allows ${origin}`, () => assert.equal(causeOf(origin), undefined))
  }

  const wrong = [
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com:80',
    'https://app.example.com.evil.example',
    'https://evil.example/https://app.example.com',
    'https://app.example.com/',
    'https://app.example.com@evil.example',
    'https://user@app.example.com',
    'https://app.example.com, https://evil.example',
    'https:\\\\app.example.com',
    'https://app.example.com ',
    'app.example.com',
    'http://localhost',
    'null',
    '*',
    '',
  ]
  for (const origin of wrong) {
    it(`denies ${JSON.stringify(origin)}`, () => assert.equal(causeOf(origin), `Origin ${origin}`))
  }

  it('denies a request without an origin', () => assert.equal(causeOf(), 'no Origin'))

  it('denies two origins, even the same ones', () => {
    const origin = 'https://app.example.com'
    assert.equal(causeOf(origin, origin), 'several Origin fields')
  })

  it('allows null where it is listed', () => {
    const facts = fakeFacts({ fields: ['Origin', 'null'] })
    assert.equal(checkOrigin(compileOrigins(['null']), facts), undefined)
  })

  it('logs at most 200 characters of an origin', () => {
    assert.equal(causeOf('x'.repeat(5000))?.length, 'Origin '.length + 200)
  })
})
