/** What was measured, while it grows and once it is whole: an outcome for each work and peer. */
import { median } from './statistics.ts'
import type { Quantity, Sample, Work } from './work.ts'

export type Outcome =
  | { readonly kind: 'measured'; readonly samples: readonly Sample[] }
  /** It should have taken part; once is enough to be out of the work. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It was not meant to take part. */
  | { readonly kind: 'absent'; readonly why: string }

export class Results {
  readonly works: readonly Work[]
  readonly #outcomes = new Map<string, Map<string, Outcome>>()
  readonly #skipped = new Map<Work, string>()

  constructor(works: readonly Work[]) {
    this.works = works
  }

  /** Works that the machine cannot do, and why. */
  get skipped(): ReadonlyMap<Work, string> {
    return this.#skipped
  }

  skip(work: Work, why: string): void {
    this.#skipped.set(work, why)
  }

  set(work: Work, peer: string, outcome: Outcome): void {
    let byPeer = this.#outcomes.get(work.name)
    if (byPeer === undefined) this.#outcomes.set(work.name, (byPeer = new Map()))
    byPeer.set(peer, outcome)
  }

  add(work: Work, peer: string, sample: Sample): void {
    const outcome = this.outcome(work.name, peer)
    const samples = outcome?.kind === 'measured' ? outcome.samples : []
    this.set(work, peer, { kind: 'measured', samples: [...samples, sample] })
  }

  outcome(work: string, peer: string): Outcome | undefined {
    return this.#outcomes.get(work)?.get(peer)
  }

  /** By the names of the peers. */
  outcomes(work: Work): ReadonlyMap<string, Outcome> {
    return this.#outcomes.get(work.name) ?? new Map<string, Outcome>()
  }

  samples(work: string, peer: string): readonly Sample[] {
    const outcome = this.outcome(work, peer)
    return outcome?.kind === 'measured' ? outcome.samples : []
  }

  values(work: string, peer: string, of: Quantity): readonly number[] {
    return this.samples(work, peer)
      .map((sample) => sample[of])
      .filter((value) => value !== undefined)
  }

  /** `undefined` where nothing was measured. */
  median(work: string, peer: string, of: Quantity): number | undefined {
    const values = this.values(work, peer, of)
    return values.length === 0 ? undefined : median(values)
  }

  get hasFailures(): boolean {
    return this.works.some((work) =>
      [...this.outcomes(work).values()].some(({ kind }) => kind === 'failed'),
    )
  }
}
