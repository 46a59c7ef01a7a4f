/** The grants of checks that go by a file: each names the entry of the file that let its tunnel in. */

import type { Giver, Grant } from './grant.ts'

/** A check with a file of entries. */
export interface EntryGiver extends Giver {
  /** Whether the present file has this entry of this user. */
  has(user: string, entry: string): boolean
}

export class EntryGrant implements Grant {
  readonly giver: EntryGiver
  readonly user: string
  /** What the file has for the user: a password's hash or a key's digest. */
  readonly entry: string

  constructor(giver: EntryGiver, user: string, entry: string) {
    this.giver = giver
    this.user = user
    this.entry = entry
  }

  get check(): string {
    return this.giver.name
  }

  get expiresAtMs(): undefined {
    return undefined
  }

  stands(): boolean {
    return this.giver.has(this.user, this.entry)
  }
}

/** See `Check.renew`: another check's grant holds for `giver` when its file has the same entry. */
export function renewEntry(giver: EntryGiver, grant: Grant): Grant | undefined {
  if (grant.giver === giver) return grant
  if (!(grant instanceof EntryGrant) || grant.check !== giver.name) return undefined
  return giver.has(grant.user, grant.entry)
    ? new EntryGrant(giver, grant.user, grant.entry)
    : undefined
}
