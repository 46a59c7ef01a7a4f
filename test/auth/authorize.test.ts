import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { authorize, compilePolicy, type AuthOutcome } from '../../src/auth/authorize.ts'
import { anonymous, type Check, type Hidden, type Identity } from '../../src/auth/identity.ts'
import { Refusal, type Code } from '../../src/errors.ts'
import { fakeCheck } from './fake-check.ts'
import { fakeFacts } from './fake-facts.ts'
import { routeConfig } from '../support/route-config.ts'

function refusal(code: Code, name: string): Refusal {
  return new Refusal(code, { cause: name, fields: ['WWW-Authenticate', name] })
}

function user(name: string): Identity {
  return { ...anonymous, user: name }
}

/** A no with somebody else's answer. */
function answered(): Refusal {
  const answer = { status: 302, reason: 'Found', fields: [], body: Buffer.alloc(0) }
  return new Refusal('E_FORWARD_DENIED', { answer })
}

/** `groups` as in the config, but with the checks themselves. */
function run(groups: readonly (readonly Check[])[]): AuthOutcome | Promise<AuthOutcome> {
  const checks = new Map(groups.flat().map((check) => [check.name, check]))
  const auth = groups.map((group) => group.map(({ name }) => name))
  return authorize(compilePolicy(routeConfig({ auth }), checks), fakeFacts(), true)
}

function refusedBy(outcome: AuthOutcome): Refusal {
  assert.ok(outcome.outcome instanceof Refusal)
  return outcome.outcome
}

const never = fakeCheck('never', () => assert.fail('this check must not be asked'))

describe('authorize', () => {
  it('costs nothing when nothing is asked: always the same frozen outcome', () => {
    const one = run([])
    assert.equal(one, run([]))
    assert.ok(!(one instanceof Promise))
    assert.equal(one.outcome, anonymous)
    assert.ok(Object.isFrozen(one) && Object.isFrozen(anonymous))
    assert.deepEqual(one.tried, [])
  })

  it('answers without a promise when no check waits', () => {
    const outcome = run([[fakeCheck('a', user('ann'))], [fakeCheck('b', user('bob'))]])
    assert.ok(!(outcome instanceof Promise))
    assert.deepEqual(outcome, {
      outcome: user('ann'),
      tried: [
        { check: 'a', result: 'pass' },
        { check: 'b', result: 'pass' },
      ],
    })
  })

  it('waits for checks that wait, one after the other', async () => {
    const order: string[] = []
    const slow = (name: string) =>
      fakeCheck(name, async () => {
        order.push(name)
        await setImmediate()
        order.push(`${name} done`)
        return user(name)
      })
    const outcome = await run([[slow('a')], [fakeCheck('b', anonymous)], [slow('c')]])
    assert.deepEqual(order, ['a', 'a done', 'c', 'c done'])
    assert.deepEqual(outcome.outcome, user('a'))
  })

  it('looks at the address first, then at the origin, then at credentials', () => {
    const checks = new Map([['never', never]])
    const config = { auth: [['never']], allow: ['10.0.0.0/8'], origins: ['https://app'] }
    const policy = compilePolicy(routeConfig(config), checks)
    const outside = authorize(policy, fakeFacts(), true) as AuthOutcome
    assert.equal(refusedBy(outside).code, 'E_ADDRESS_DENIED')
    assert.deepEqual(outside.tried, [])
    const inside = fakeFacts({ clientIp: '10.1.2.3' })
    const foreign = authorize(policy, inside, true) as AuthOutcome
    assert.equal(refusedBy(foreign).code, 'E_ORIGIN_DENIED')
  })

  it('asks for an origin on upgrades alone', () => {
    const policy = compilePolicy(routeConfig({ origins: ['https://app'] }), new Map())
    assert.equal((authorize(policy, fakeFacts(), false) as AuthOutcome).outcome, anonymous)
    const right = fakeFacts({ fields: ['Origin', 'https://app'] })
    assert.equal((authorize(policy, right, true) as AuthOutcome).outcome, anonymous)
  })

  it('lets an address of the list pass', () => {
    const policy = compilePolicy(routeConfig({ allow: ['192.0.2.0/24'] }), new Map())
    assert.equal((authorize(policy, fakeFacts(), true) as AuthOutcome).outcome, anonymous)
  })

  it('asks no further group after one that does not pass', () => {
    const no = refusal('E_AUTH_INVALID', 'a')
    const outcome = run([[fakeCheck('a', no)], [never]]) as AuthOutcome
    assert.equal(outcome.outcome, no)
    assert.deepEqual(outcome.tried, [{ check: 'a', result: 'deny' }])
  })

  it('asks no further check of a group after one that passes', () => {
    const group = [
      fakeCheck('a', refusal('E_AUTH_MISSING', 'a')),
      fakeCheck('b', user('bob')),
      never,
    ]
    const outcome = run([group]) as AuthOutcome
    assert.deepEqual(outcome.outcome, user('bob'))
    assert.deepEqual(outcome.tried, [
      { check: 'a', result: 'deny' },
      { check: 'b', result: 'pass' },
    ])
  })

  const errors: readonly Code[] = ['E_AUTH_UNAVAILABLE', 'E_AUTH_TIMEOUT', 'E_AUTH_BUSY']
  for (const code of errors) {
    it(`tells of ${code} before anything else when no check of the group passes`, () => {
      const group = [
        fakeCheck('a', answered()),
        fakeCheck('b', refusal('E_CLAIM_DENIED', 'b')),
        fakeCheck('c', refusal(code, 'c')),
      ]
      const outcome = run([group]) as AuthOutcome
      assert.equal(refusedBy(outcome).code, code)
      assert.deepEqual(outcome.tried.at(-1), { check: 'c', result: 'error' })
    })
  }

  it('lets a check that passes make good for one that could not be made', () => {
    const group = [fakeCheck('a', refusal('E_AUTH_TIMEOUT', 'a')), fakeCheck('b', user('bob'))]
    assert.deepEqual((run([group]) as AuthOutcome).outcome, user('bob'))
  })

  it("prefers a server's answer to a 403 of ours, and the first of two", () => {
    const wanted = answered()
    const group = [
      fakeCheck('a', refusal('E_CLAIM_DENIED', 'a')),
      fakeCheck('b', wanted),
      fakeCheck('c', answered()),
    ]
    assert.equal((run([group]) as AuthOutcome).outcome, wanted)
  })

  it('prefers a 403 to a 401', () => {
    const group = [
      fakeCheck('a', refusal('E_AUTH_INVALID', 'a')),
      fakeCheck('b', refusal('E_CLAIM_DENIED', 'b')),
    ]
    assert.equal(refusedBy(run([group]) as AuthOutcome).code, 'E_CLAIM_DENIED')
  })

  it('offers the challenges of all checks in a 401', () => {
    const group = [
      fakeCheck('a', refusal('E_AUTH_MISSING', 'a')),
      fakeCheck('b', refusal('E_AUTH_INVALID', 'b')),
    ]
    const { code, details } = refusedBy(run([group]) as AuthOutcome)
    assert.equal(code, 'E_AUTH_INVALID')
    assert.equal(details.cause, 'a; b')
    assert.deepEqual(details.fields, ['WWW-Authenticate', 'a', 'WWW-Authenticate', 'b'])
  })

  it('says that credentials are missing when none were sent', () => {
    const missing = new Refusal('E_AUTH_MISSING')
    const group = [fakeCheck('a', missing), fakeCheck('b', missing)]
    const { code, details } = refusedBy(run([group]) as AuthOutcome)
    assert.equal(code, 'E_AUTH_MISSING')
    assert.deepEqual(details, { fields: [] })
  })

  it('does not carry refusals of one group into the next', () => {
    const groups = [
      [fakeCheck('a', refusal('E_CLAIM_DENIED', 'a')), fakeCheck('b', user('bob'))],
      [
        fakeCheck('c', refusal('E_AUTH_MISSING', 'c')),
        fakeCheck('d', refusal('E_AUTH_MISSING', 'd')),
      ],
    ]
    assert.equal(refusedBy(run(groups) as AuthOutcome).code, 'E_AUTH_MISSING')
  })

  it('hides the token of a check that was not asked', () => {
    const hidden: Hidden = {
      hiddenQuery: ['access_token'],
      hiddenSubprotocols: ['bearer', 't'],
      markerSubprotocol: 'bearer',
    }
    const people = fakeCheck('people', () => assert.fail('not asked'), { hidden: () => hidden })
    const outcome = run([[fakeCheck('a', user('ann')), people]]) as AuthOutcome
    assert.deepEqual(outcome.outcome, { ...user('ann'), ...hidden })
  })

  it('does not ask a check twice what it hides', () => {
    const people = fakeCheck('people', user('ann'), { hidden: () => assert.fail('asked') })
    assert.deepEqual((run([[people]]) as AuthOutcome).outcome, user('ann'))
  })

  it('is rejected when a check breaks', async () => {
    const broken = fakeCheck('a', () => Promise.reject(new Error('broken')))
    await assert.rejects(async () => run([[broken]]), { message: 'broken' })
  })
})

describe('compilePolicy', () => {
  it('owns the fields of all checks, but credentials only on routes whose checks make them', () => {
    const checks = new Map(
      [
        fakeCheck('a', anonymous, { ownFields: ['x-a', 'authorization', 'x-auth-user'] }),
        fakeCheck('b', anonymous, { ownFields: ['x-b', 'cookie', 'authorization'] }),
      ].map((check) => [check.name, check]),
    )
    const ownOf = (auth: readonly (readonly string[])[]) =>
      compilePolicy(routeConfig({ auth }), checks).ownFields
    assert.deepEqual(ownOf([]), ['x-auth-user', 'x-a', 'x-b'])
    assert.deepEqual(ownOf([['a']]), ['x-auth-user', 'x-a', 'authorization', 'x-b'])
    assert.deepEqual(ownOf([['a', 'b']]), ['x-auth-user', 'x-a', 'authorization', 'x-b', 'cookie'])
  })

  it('throws for a check that there is not', () => {
    assert.throws(() => compilePolicy(routeConfig({ auth: [['staff']] }), new Map()), {
      message: 'route chat: no check named staff',
    })
  })
})
