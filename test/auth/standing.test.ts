import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compilePolicy, type Policy } from '../../src/auth/authorize.ts'
import type { Grant } from '../../src/auth/grant.ts'
import { anonymous, type Check } from '../../src/auth/identity.ts'
import { grantsUnder } from '../../src/auth/standing.ts'
import type { RouteConfig } from '../../src/config/config.ts'
import { fakeCheck } from './fake-check.ts'
import { routeConfig } from '../support/route-config.ts'

const people = fakeCheck('people', anonymous)
const staff = fakeCheck('staff', anonymous)
const robots = fakeCheck('robots', anonymous)

function grantBy(check: Check): Grant {
  return { check: check.name, giver: check, user: 'ann', expiresAtMs: undefined }
}

function policy(groups: readonly (readonly Check[])[], route: Partial<RouteConfig> = {}): Policy {
  const checks = new Map(groups.flat().map((check) => [check.name, check]))
  const auth = groups.map((group) => group.map(({ name }) => name))
  return compilePolicy(routeConfig({ ...route, auth }), checks)
}

function standpoint(grants: readonly Grant[], origin?: string) {
  return { grants, clientIp: '192.0.2.7', origin }
}

const byPeople = grantBy(people)
const byStaff = grantBy(staff)

describe('grantsUnder', () => {
  it('has the same array where nothing changes', () => {
    const grants = [byPeople, byStaff]
    assert.equal(grantsUnder(policy([[people], [robots, staff]]), standpoint(grants)), grants)
    const none: readonly Grant[] = []
    assert.equal(grantsUnder(policy([]), standpoint(none)), none)
  })

  it('drops the grants that nobody asks for any more', () => {
    const grants = [byPeople, byStaff]
    assert.deepEqual(grantsUnder(policy([[staff]]), standpoint(grants)), [byStaff])
    assert.deepEqual(grantsUnder(policy([]), standpoint(grants)), [])
  })

  it('has nothing when a group knows none of the grants', () => {
    assert.equal(grantsUnder(policy([[people], [staff]]), standpoint([byPeople])), undefined)
    assert.equal(grantsUnder(policy([[people]]), standpoint([])), undefined)
    const changed = fakeCheck('people', anonymous)
    assert.equal(grantsUnder(policy([[changed]]), standpoint([byPeople])), undefined)
  })

  it('has the grant of a new check that knows the credentials', () => {
    const renewed = { ...byStaff }
    const renew = (grant: Grant) => (grant === byStaff ? renewed : undefined)
    const newStaff = fakeCheck('staff', anonymous, { renew })
    const grants = grantsUnder(policy([[people, newStaff]]), standpoint([byStaff]))
    assert.equal(grants?.length, 1)
    assert.equal(grants[0], renewed)
  })

  const cases: readonly (readonly [
    name: string,
    route: Partial<RouteConfig>,
    origin: string | undefined,
    isIn: boolean,
  ])[] = [
    ['an address that is allowed', { allow: ['192.0.2.0/24'] }, undefined, true],
    ['an address that is not allowed any more', { allow: ['192.0.3.0/24'] }, undefined, false],
    ['an origin that is allowed', { origins: ['https://a.test'] }, 'https://A.test:443', true],
    ['an origin that is not', { origins: ['https://a.test'] }, 'https://b.test', false],
    ['no origin where one is asked for', { origins: ['https://a.test'] }, undefined, false],
    ['an origin where none is asked for', {}, 'https://b.test', true],
  ]
  for (const [name, route, origin, isIn] of cases) {
    it(`${isIn ? 'knows' : 'does not know'} a tunnel of ${name}`, () => {
      const under = policy([[people]], route)
      const grants = grantsUnder(under, standpoint([byPeople], origin))
      assert.deepEqual(grants, isIn ? [byPeople] : undefined)
    })
  }
})
