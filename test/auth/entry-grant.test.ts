import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EntryGrant, ownLine, renewEntry, type EntryGiver } from '../../src/auth/entry-grant.ts'

function giver(name: string, entries: Set<string>): EntryGiver {
  return { name, has: ({ user, hash }) => entries.has(`${user}:${hash}`) }
}

const entry = { user: 'ann', hash: 'hash' }

describe('EntryGrant', () => {
  it('stands while its file has its entry', () => {
    const entries = new Set(['ann:hash'])
    const grant = new EntryGrant(giver('staff', entries), entry)
    assert.deepEqual([grant.check, grant.user, grant.expiresAtMs], ['staff', 'ann', undefined])
    assert.equal(grant.stands(), true)
    entries.clear()
    assert.equal(grant.stands(), false)
  })
})

describe('renewEntry', () => {
  const grant = new EntryGrant(giver('staff', new Set(['ann:hash'])), entry)

  it('gives an own grant back, whatever the file has now', () => {
    const own = new EntryGrant(giver('staff', new Set()), entry)
    assert.equal(renewEntry(own.giver, own), own)
  })

  it('makes a grant of the new file, which holds from then on', () => {
    const entries = new Set(['ann:hash'])
    const next = giver('staff', entries)
    const renewed = renewEntry(next, grant)
    assert.deepEqual([renewed?.giver, renewed?.user], [next, 'ann'])
    entries.clear()
    assert.deepEqual([renewed?.stands?.(), grant.stands()], [false, true])
  })

  it('makes none for a changed entry, for another name, or for a grant without an entry', () => {
    assert.equal(renewEntry(giver('staff', new Set(['ann:other'])), grant), undefined)
    assert.equal(renewEntry(giver('robots', new Set(['ann:hash'])), grant), undefined)
    const next = giver('staff', new Set(['ann:hash']))
    const foreign = { check: 'staff', giver: grant.giver, user: 'ann', expiresAtMs: undefined }
    assert.equal(renewEntry(next, foreign), undefined)
  })
})

describe('ownLine', () => {
  it('changes nothing of the text', () => assert.equal(ownLine('Jörg:\u{1f600}'), 'Jörg:\u{1f600}'))
})
