/** What expiry knows of a tunnel, and grants for it. */

import type { Giver, Grant, Recheck } from '../../src/auth/grant.ts'
import type { GrantedTunnel } from '../../src/tunnels/expiry.ts'

export class FakeTunnel implements GrantedTunnel {
  grants: readonly Grant[]
  /** As `by reason`, one for each time that it was told to end. */
  readonly ends: string[] = []

  constructor(...grants: Grant[]) {
    this.grants = grants
  }

  end(by: string, reason: string): void {
    this.ends.push(`${by} ${reason}`)
  }
}

const nobody: Giver = { name: 'people' }

export function grantUntil(expiresAtMs: number | undefined): Grant {
  return { check: nobody.name, giver: nobody, user: 'ann', expiresAtMs }
}

/** A check with a file, whose changes are made by hand. */
export class FakeFile implements Giver {
  readonly name = 'staff'
  readonly users: Set<string>
  readonly #listeners = new Set<() => void>()

  constructor(...users: string[]) {
    this.users = new Set(users)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The file is as `users` say from now on. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  grant(user: string): Grant {
    const stands = (): boolean => this.users.has(user)
    return { check: this.name, giver: this, user, expiresAtMs: undefined, stands }
  }
}

export function grantAskedAgain(giver: Giver, recheck: Recheck): Grant {
  return { check: giver.name, giver, user: undefined, expiresAtMs: undefined, recheck }
}
