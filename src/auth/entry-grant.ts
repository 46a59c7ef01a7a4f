/** The grants of checks that go by a file: each names the entry of the file that let its tunnel in. */

import type { Giver, Grant } from './grant.ts'

/** Of a file, and kept with a tunnel that it lets in: its texts are the file's, not pieces of what a client sent. */
export interface Entry {
  readonly user: string
  /** A password's hash or a key's digest. */
  readonly hash: string
}

/** A check with a file of entries. */
export interface EntryGiver extends Giver {
  /** Whether the present file has the same entry. */
  has(entry: Entry): boolean
}

/** A line of a file as a text of its own: an entry that outlives its file must not keep the whole file in memory. */
export function ownLine(line: string): string {
  return Buffer.from(line, 'utf8').toString('utf8')
}

export class EntryGrant implements Grant {
  readonly giver: EntryGiver
  readonly #entry: Entry

  constructor(giver: EntryGiver, entry: Entry) {
    this.giver = giver
    this.#entry = entry
  }

  get user(): string {
    return this.#entry.user
  }

  get check(): string {
    return this.giver.name
  }

  get expiresAtMs(): undefined {
    return undefined
  }

  stands(): boolean {
    return this.giver.has(this.#entry)
  }

  /** The grant of another check for the same entry, where that one's file has it. */
  under(giver: EntryGiver): EntryGrant | undefined {
    return giver.has(this.#entry) ? new EntryGrant(giver, this.#entry) : undefined
  }
}

/** See `Check.renew`: another check's grant holds for `giver` when its file has the same entry. */
export function renewEntry(giver: EntryGiver, grant: Grant): Grant | undefined {
  if (grant.giver === giver) return grant
  return grant instanceof EntryGrant && grant.check === giver.name ? grant.under(giver) : undefined
}
