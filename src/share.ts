/**
 * A limit of which each key (a client's address, say) may hold a share alone, so that no client takes all there is of
 * something. Keys are counted only while they hold a place: memory is bounded by the limit, or by what is open where there
 * is none.
 */

const SHARES = 8
/** Browsers open up to six connections to one host; small limits must not shut out two tabs. */
const SHARE_MIN = 4

/** How many places of `max` one key may hold: an eighth, and at least 4. */
export function shareOf(max: number): number {
  return Math.max(SHARE_MIN, Math.floor(max / SHARES))
}

/** Why there is no place: all are taken, or the key holds its share. */
export type Shortage = 'full' | 'share'

export class SharedLimit {
  /** Places in all. It may change at any time: nobody loses a place by that. */
  max: number
  #held = 0
  readonly #heldBy = new Map<string, number>()

  constructor(max: number) {
    this.max = max
  }

  /** A place for `key`. Without a key it counts in all alone. */
  take(key: string | undefined): Place | Shortage {
    if (this.#held >= this.max) return 'full'
    if (!this.mayHold(key)) return 'share'
    this.#held += 1
    this.add(key, 1)
    return new Place(this, key)
  }

  /** Whether `key` holds less than its share. */
  mayHold(key: string | undefined): boolean {
    return key === undefined || (this.#heldBy.get(key) ?? 0) < shareOf(this.max)
  }

  /** For `Place`. */
  leave(key: string | undefined): void {
    this.#held -= 1
    this.add(key, -1)
  }

  /** For `Place`. */
  add(key: string | undefined, count: 1 | -1): void {
    if (key === undefined) return
    const held = (this.#heldBy.get(key) ?? 0) + count
    if (held > 0) this.#heldBy.set(key, held)
    else this.#heldBy.delete(key)
  }
}

/** One of the places of a limit, held until `leave`. */
export class Place {
  readonly #limit: SharedLimit
  #key: string | undefined
  #isHeld = true

  constructor(limit: SharedLimit, key: string | undefined) {
    this.#limit = limit
    this.#key = key
  }

  /** It counts for another key from now on. False where that one holds its share: nothing changes then. */
  moveTo(key: string | undefined): boolean {
    if (!this.#isHeld || key === this.#key) return true
    if (!this.#limit.mayHold(key)) return false
    this.#limit.add(this.#key, -1)
    this.#limit.add(key, 1)
    this.#key = key
    return true
  }

  /** A second call does nothing. */
  leave(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#limit.leave(this.#key)
  }
}

/** Who found no place so far. */
export interface Refused {
  readonly full: number
  readonly share: number
  /** The address of the last one; empty while there was none. */
  readonly address: string
}

export class RefusedCount implements Refused {
  full = 0
  share = 0
  address = ''

  add(why: Shortage, address: string): void {
    this[why] += 1
    this.address = address
  }
}
