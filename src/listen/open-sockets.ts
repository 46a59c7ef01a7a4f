/** Counts the connections of a listener that are sockets, be they in the parser's hands or a tunnel's by now. */

import type { RelaySocket } from '../relay/relay.ts'

export class OpenSockets {
  #count = 0
  readonly #whenNone: (() => void)[] = []

  /** An open one; each counts once. */
  add(socket: RelaySocket): void {
    this.#count += 1
    socket.once('close', this.#onClose)
  }

  /** Fulfilled when none is open. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenNone.push(resolve))
  }

  readonly #onClose = (): void => {
    this.#count -= 1
    if (this.#count > 0) return
    for (const resolve of this.#whenNone.splice(0)) resolve()
  }
}
