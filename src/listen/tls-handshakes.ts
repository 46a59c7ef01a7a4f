/** The TLS handshakes of a listener: how many are in progress, of how many that may be, and what became of the others. */

export interface HandshakeCounts {
  readonly full: number
  readonly resumed: number
  readonly failed: number
  /** Closed since too many were in progress. */
  readonly refused: number
}

export class Handshakes {
  /** How many may be in progress. */
  max = Infinity
  readonly counts = { full: 0, resumed: 0, failed: 0, refused: 0 }
  #inProgress = 0

  /** False where it must not: that is counted as well. */
  mayBegin(): boolean {
    if (this.#inProgress >= this.max) {
      this.counts.refused += 1
      return false
    }
    this.#inProgress += 1
    return true
  }

  /** Once for each that has begun. */
  end(result: 'full' | 'resumed' | 'failed'): void {
    this.#inProgress -= 1
    this.counts[result] += 1
  }
}
