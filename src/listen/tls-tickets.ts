/**
 * The keys of a listener's session tickets. They outlive reloads and new certificates, so that sessions are resumed over
 * them, and they change in time, so that one that is stolen opens little. Node takes one set of keys: tickets of the set
 * before are refused after a change, and their clients make a whole handshake. As tickets hold for five minutes (node's
 * `sessionTimeout`), those are the clients of the last five minutes of each set.
 */

import { randomBytes } from 'node:crypto'

const ROTATION_MS = 12 * 60 * 60 * 1000

/** What `server.setTicketKeys` takes. */
const KEY_BYTES = 48

export class TicketKeys {
  #current = randomBytes(KEY_BYTES)
  readonly #timer: NodeJS.Timeout

  /** `onChange` is called with each new set, until `close`. */
  constructor(onChange: (keys: Buffer) => void) {
    this.#timer = setInterval(() => {
      this.#current = randomBytes(KEY_BYTES)
      onChange(this.#current)
    }, ROTATION_MS).unref()
  }

  get current(): Buffer {
    return this.#current
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
