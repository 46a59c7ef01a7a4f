import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EntryGrant, renewEntry, type EntryGiver } from '../../src/auth/entry-grant.ts'

function giver(name: string, entries: Set<string>): EntryGiver {
  return { name, has: (user, entry) => entries.has(`${user}:${entry}`) }
}

describe('EntryGrant', () => {
  it('stands while its file has its entry', () => {
    const entries = new Set(['ann:hash'])
    const grant = new EntryGrant(giver('staff', entries), 'ann', 'hash')
    assert.deepEqual([grant.check, grant.user, grant.expiresAtMs], ['staff', 'ann', undefined])
    assert.equal(grant.stands(), true)
    entries.clear()
    assert.equal(grant.stands(), false)
  })
})

describe('renewEntry', () => {
  const grant = new EntryGrant(giver('staff', new Set(['ann:hash'])), 'ann', 'hash')

  it('gives an own grant back, whatever the file has now', () => {
    const own = new EntryGrant(giver('staff', new Set()), 'ann', 'hash')
    assert.equal(renewEntry(own.giver, own), own)
  })

  it('makes a grant of the new file, which holds from then on', () => {
    const next = giver('staff', new Set(['ann:hash']))
    assert.deepEqual(renewEntry(next, grant), new EntryGrant(next, 'ann', 'hash'))
  })

  it('makes none for a changed entry, for another name, or for a grant without an entry', () => {
    assert.equal(renewEntry(giver('staff', new Set(['ann:other'])), grant), undefined)
    assert.equal(renewEntry(giver('robots', new Set(['ann:hash'])), grant), undefined)
    const { check, user, expiresAtMs } = grant
    const next = giver('staff', new Set(['ann:hash']))
    const foreign = { check, giver: giver('staff', new Set()), user, expiresAtMs }
    assert.equal(renewEntry(next, foreign), undefined)
  })
})
