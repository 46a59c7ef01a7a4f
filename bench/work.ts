/** What a work is to the runner, and what one measurement of it gives. */
import type { LoadProcess } from './load-process.ts'
import type { RunningPeer } from './running-peer.ts'

export interface Work {
  readonly name: string
  readonly title: string
  /** What is compared, each in a row of its own. */
  readonly measures: readonly Measure[]
  /** Whether each sample wants a peer that was started for it. */
  readonly fresh: boolean
  /** What the machine has to have for it, if not every machine has. */
  readonly needs?: Need
  /** The names of those that are compared; all peers but the variants if left out. */
  readonly field?: readonly string[]
  sample(peer: RunningPeer, upstream: LoadProcess, size: Size): Promise<Sample>
}

export type Need = 'tls' | 'pinning'

/** `warm` only brings the peer to its usual speed. */
export type Size = 'warm' | 'full'

export interface Measure {
  readonly of: Quantity
  /** Tells it from the other measures of a work; empty where there is one. */
  readonly label: string
  readonly unit: string
}

/** The numbers of a sample that can be compared. */
export type Quantity = 'cost' | 'rate' | 'p50us' | 'p99us' | 'p999us'

export interface Sample extends Readonly<Record<Quantity, number | undefined>> {
  /** Of one unit of work: microseconds of CPU, or KiB. */
  readonly cost: number
  /** What else there is to say of traffic; `undefined` where nothing is sent. */
  readonly shares: Shares | undefined
  /** How much later than due messages were sent (p99), where they are sent by the clock. */
  readonly lateP99us: number | undefined
}

/** Shares of one core. */
export interface Shares {
  readonly gateway: number
  readonly load: number
  readonly upstream: number
  /** What the rest of the machine took meanwhile, the runner among it. */
  readonly others: number
}
