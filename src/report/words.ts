/**
 * Text that is kept as long as a tunnel is open. A piece of a request is, to V8, a window on the whole head: to keep a host
 * name would keep the cookies too. And what many tunnels have in common needs to be there once.
 */

const WORDS_MAX = 1024

export class Words {
  readonly #known = new Map<string, string>()

  /** The same text, free of what it was cut from. */
  own(text: string): string {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    // However many there are, only so many are remembered.
    if (this.#known.size === WORDS_MAX) this.#known.clear()
    const own = cutFree(text)
    this.#known.set(own, own)
    return own
  }
}

/** A copy that shares nothing with what the text was cut from. */
export function cutFree(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}
