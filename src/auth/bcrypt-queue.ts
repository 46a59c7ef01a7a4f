/**
 * Runs bcrypt off the main thread, a few at a time: the thread pool is shared with name look-ups, files and token
 * signatures, and those must not stand behind a queue of password checks.
 */

import { verify } from '@node-rs/bcrypt'
import { SharedLimit } from '../share.ts'

/** Fulfilled with whether the password fits the hash. */
export type Verify = (password: string, hash: string) => Promise<boolean>

/** Half of libuv's pool of 4 threads. */
const RUNNING_MAX = 2

/** Running and waiting. At a cost of 10 (some 50 ms) the last one waits for 2 s. */
const HELD_MAX = 64

export interface PasswordCheck {
  readonly key: string
  readonly client: string
  readonly password: string
  readonly hash: string
}

export class BcryptQueue {
  readonly #verify: Verify
  /** By caller's key: the same check is made once for all who ask while it is under way. */
  readonly #held = new Map<string, Promise<boolean>>()
  readonly #places = new SharedLimit(HELD_MAX)
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(check: Verify = verify) {
    this.#verify = check
  }

  /**
   * `key` stands for password and hash together, `client` for who asks. Undefined when 64 other checks are under way, or the
   * client has its share of them: come back later.
   */
  verify({ key, client, password, hash }: PasswordCheck): Promise<boolean> | undefined {
    const shared = this.#held.get(key)
    if (shared !== undefined) return shared
    const place = this.#places.take(client)
    if (typeof place === 'string') return undefined
    const check = this.#run(password, hash).finally(() => {
      this.#held.delete(key)
      place.leave()
    })
    this.#held.set(key, check)
    return check
  }

  async #run(password: string, hash: string): Promise<boolean> {
    if (this.#running >= RUNNING_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#running += 1
    try {
      return await this.#verify(password, hash)
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.()
    }
  }
}
