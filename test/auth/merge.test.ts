import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Grant } from '../../src/auth/grant.ts'
import { anonymous, type Hidden, type Identity } from '../../src/auth/identity.ts'
import { foldIdentities, hideMore } from '../../src/auth/merge.ts'
import { fakeCheck } from './fake-check.ts'
import { fakeFacts } from './fake-facts.ts'

const grant: Grant = {
  check: 'people',
  giver: { name: 'people' },
  user: 'ann',
  expiresAtMs: 2000,
}

const ann: Identity = {
  user: 'ann',
  fields: ['A', '1'],
  hiddenQuery: ['t'],
  hiddenSubprotocols: [],
  markerSubprotocol: undefined,
  grants: [grant],
}

describe('foldIdentities', () => {
  it('is anonymous for none and the identity itself for one', () => {
    assert.equal(foldIdentities([]), anonymous)
    assert.equal(foldIdentities([ann]), ann)
  })

  it('takes the first user, all fields, all that is hidden, the first marker and all grants', () => {
    const other: Grant = { ...grant, check: 'staff', expiresAtMs: undefined }
    const bob: Identity = {
      user: 'bob',
      fields: ['B', '2'],
      hiddenQuery: ['t', 'u'],
      hiddenSubprotocols: ['x'],
      markerSubprotocol: 'bearer',
      grants: [other],
    }
    assert.deepEqual(foldIdentities([anonymous, ann, bob]), {
      user: 'ann',
      fields: ['A', '1', 'B', '2'],
      hiddenQuery: ['t', 'u'],
      hiddenSubprotocols: ['x'],
      markerSubprotocol: 'bearer',
      grants: [grant, other],
    })
  })
})

describe('hideMore', () => {
  const hidden: Hidden = {
    hiddenQuery: ['access_token'],
    hiddenSubprotocols: ['bearer', 't'],
    markerSubprotocol: 'bearer',
  }
  const check = fakeCheck('people', anonymous, { hidden: () => hidden })

  it('gives the identity itself back when there is nothing to add', () => {
    assert.equal(hideMore(ann, [], fakeFacts()), ann)
    const { hidden: _, ...without } = check
    assert.equal(hideMore(ann, [without], fakeFacts()), ann)
  })

  it('adds what other checks hide', () => {
    assert.deepEqual(hideMore(ann, [check], fakeFacts()), {
      ...ann,
      hiddenQuery: ['t', 'access_token'],
      hiddenSubprotocols: ['bearer', 't'],
      markerSubprotocol: 'bearer',
    })
  })
})
