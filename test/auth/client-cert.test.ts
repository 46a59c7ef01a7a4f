import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClientCertCheck } from '../../src/auth/client-cert.ts'
import type { Grant } from '../../src/auth/grant.ts'
import type { Identity } from '../../src/auth/identity.ts'
import type { ClientCertAuthConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import type { VerifiedCertificate } from '../../src/request/client-certificate.ts'
import { fakeFacts } from './fake-facts.ts'

function checkOf(changes: Partial<ClientCertAuthConfig> = {}) {
  return createClientCertCheck({
    name: 'device',
    type: 'clientCert',
    subject: undefined,
    san: undefined,
    user: 'cn',
    ...changes,
  })
}

function shown(changes: Partial<VerifiedCertificate> = {}) {
  const certificate: VerifiedCertificate = {
    subject: 'CN=alice,O=Example',
    commonName: 'alice',
    altNames: [{ type: 'DNS', value: 'alice.test' }],
    expiresAtMs: Date.now() + 60_000,
    forwarded: '',
    ...changes,
  }
  return fakeFacts({ certificate })
}

function passed(result: ReturnType<ReturnType<typeof checkOf>['check']>): Identity {
  assert.ok(!(result instanceof Refusal) && !(result instanceof Promise))
  return result
}

function codeOf(result: ReturnType<ReturnType<typeof checkOf>['check']>): string | undefined {
  return result instanceof Refusal ? result.code : undefined
}

describe('the check of certificates', () => {
  it('gives a grant that ends with the certificate', () => {
    const expiresAtMs = Date.now() + 5000
    const { user, grants } = passed(checkOf().check(shown({ expiresAtMs })))
    assert.equal(user, 'alice')
    assert.deepEqual(
      grants.map((grant) => [grant.check, grant.user, grant.expiresAtMs]),
      [['device', 'alice', expiresAtMs]],
    )
  })

  it('refuses none, one that was not verified, and one that has expired since', () => {
    const check = checkOf()
    assert.equal(codeOf(check.check(fakeFacts())), 'E_AUTH_MISSING')
    const failure = { failure: 'CERT_REVOKED' }
    const refusal = check.check(fakeFacts({ certificate: failure }))
    assert.ok(refusal instanceof Refusal)
    assert.deepEqual(
      [refusal.code, refusal.details.cause],
      ['E_AUTH_INVALID', 'device: CERT_REVOKED'],
    )
    assert.equal(codeOf(check.check(shown({ expiresAtMs: Date.now() - 1 }))), 'E_AUTH_INVALID')
  })

  it('refuses names that can be no user, and takes none where there is none', () => {
    assert.equal(codeOf(checkOf().check(shown({ commonName: 'a\nb' }))), 'E_AUTH_INVALID')
    const nameless = shown({ commonName: undefined, altNames: [], subject: '' })
    for (const user of ['cn', 'san', 'subject'] as const) {
      assert.equal(passed(checkOf({ user }).check(nameless)).user, undefined)
    }
    assert.equal(passed(checkOf().check(shown({ commonName: undefined }))).user, 'alice.test')
  })

  it('takes what a glob says for itself, and * for anything', () => {
    for (const [glob, isTaken] of [
      ['CN=alice,O=Example', true],
      ['CN=a*e', true],
      ['*', true],
      ['CN=alice', false],
      ['CN.alice,O=Example', false],
      ['', false],
    ] as const) {
      const check = checkOf({ subject: [{ kind: 'glob', glob }] })
      assert.equal(codeOf(check.check(shown())), isTaken ? undefined : 'E_CLAIM_DENIED', glob)
    }
  })

  it('takes no comma within a name of a subject for one between two names', () => {
    const glob = 'CN=*,O=Example'
    const check = checkOf({ subject: [{ kind: 'glob', glob }] })
    for (const [subject, isTaken] of [
      ['CN=a\\,b\\\\,O=Example', true],
      ['CN=a,OU=b,O=Example', true],
      ['CN=a\\,O=Example', false],
      ['CN=a\\\\\\,O=Example', false],
    ] as const) {
      const code = codeOf(check.check(shown({ subject })))
      assert.equal(code, isTaken ? undefined : 'E_CLAIM_DENIED', subject)
    }
    const san = checkOf({ san: [{ kind: 'glob', glob: 'URI:http://a/*' }] })
    const altNames = [{ type: 'URI', value: 'http://a/\\' }] as const
    passed(san.check(shown({ altNames })))
  })

  it('renews what a check of its name gave, where the certificate still fits', () => {
    const [grant] = passed(checkOf().check(shown())).grants as readonly [Grant]
    const fitting = checkOf({ san: [{ kind: 'glob', glob: 'DNS:*' }] })
    const renewed = fitting.renew(grant)
    assert.deepEqual([renewed?.giver, renewed?.expiresAtMs], [fitting, grant.expiresAtMs])
    assert.equal(fitting.renew(renewed as Grant), renewed)
    assert.equal(checkOf({ san: [{ kind: 'glob', glob: 'URI:*' }] }).renew(grant), undefined)
    assert.equal(checkOf({ name: 'other' }).renew(grant), undefined)
  })
})
