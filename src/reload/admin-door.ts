/** The admin listener through reloads: it changes in place, or another one takes its place. */

import { formatAddress } from '../config/network.ts'
import type { Address, AdminConfig } from '../config/config.ts'
import { startAdmin, type Admin, type AdminParts } from '../admin/server.ts'

/** Whoever has asked for the reload by the old address gets the answer over it. */
const LAST_ANSWERS_MS = 1000

export interface AdminChange {
  /** Where it listens from now on, if that is new. */
  readonly added: Address | undefined
  /** Closes what has lost its place. */
  apply(): void
  /** Closes what was bound. */
  cancel(): void
}

export class AdminDoor {
  readonly #parts: AdminParts
  #config: AdminConfig | undefined
  #admin: Admin | undefined
  readonly #leaving = new Map<Admin, NodeJS.Timeout>()

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  get address(): Address | undefined {
    return this.#admin?.address
  }

  /** Rejects when an address cannot be bound, or a certificate cannot be read; everything is as before then. */
  async prepare(config: AdminConfig | undefined): Promise<AdminChange> {
    const before = this.#admin
    if (before !== undefined && config !== undefined && this.#isAt(config.address)) {
      await before.reconfigure(config)
      const apply = (): void => {
        this.#config = config
      }
      return { added: undefined, apply, cancel: () => {} }
    }
    const admin = config === undefined ? undefined : await startAdmin(config, this.#parts)
    return {
      added: admin?.address,
      apply: () => {
        this.#config = config
        this.#admin = admin
        if (before !== undefined) this.#leave(before)
      },
      cancel: () => void admin?.close(),
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#leaving.values()) clearTimeout(timer)
    const open = [...this.#leaving.keys(), ...(this.#admin === undefined ? [] : [this.#admin])]
    this.#leaving.clear()
    await Promise.all(open.map((admin) => admin.close()))
  }

  #isAt(address: Address): boolean {
    return (
      this.#config !== undefined && formatAddress(this.#config.address) === formatAddress(address)
    )
  }

  #leave(admin: Admin): void {
    const timer = setTimeout(() => {
      this.#leaving.delete(admin)
      void admin.close()
    }, LAST_ANSWERS_MS)
    this.#leaving.set(admin, timer)
  }
}
