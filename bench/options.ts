/** The command line of the runner. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Peer } from './peer.ts'
import { peers } from './peers.ts'
import type { Work } from './work.ts'
import { works } from './works.ts'

export const usage = `usage: node bench/run.ts [--peers NAME,...] [--works NAME,...] [--rounds N] [--results FILE]
peers: ${peers
  .filter(({ variantOf }) => variantOf === undefined)
  .map(({ name }) => name)
  .join(' ')}
works: ${works.map(({ name }) => name).join(' ')}`

export interface Options {
  readonly peers: readonly Peer[]
  readonly works: readonly Work[]
  readonly rounds: number
  /** Where the results go, the chart beside them; `undefined` for the terminal alone. */
  readonly resultsFile: string | undefined
}

/** A peer's variants come with it, where a work compares them. Throws a TypeError with the words of what is wrong. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peers: { type: 'string' },
      works: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      results: { type: 'string' },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    throw new TypeError('--rounds: from 1 to 100')
  const chosenWorks = named(works, values.works)
  const chosenPeers = named(peers, values.peers).flatMap((peer) => [
    peer,
    ...peers.filter(({ variantOf }) => variantOf === peer.name),
  ])
  const whole = values.peers === undefined && values.works === undefined && rounds >= 5
  return {
    peers: peers.filter((peer) => chosenPeers.includes(peer) && isWanted(peer, chosenWorks)),
    works: chosenWorks,
    rounds,
    resultsFile: values.results ?? (whole ? join(import.meta.dirname, 'results.md') : undefined),
  }
}

function isWanted(peer: Peer, chosenWorks: readonly Work[]): boolean {
  return chosenWorks.some((work) => takesPart(peer, work))
}

/** Whether the peer is one of those that the work compares. */
export function takesPart(peer: Peer, { field }: Work): boolean {
  return field === undefined ? peer.variantOf === undefined : field.includes(peer.name)
}

function named<T extends { readonly name: string }>(
  all: readonly T[],
  list: string | undefined,
): readonly T[] {
  return (
    list?.split(',').map((name) => {
      const found = all.find((one) => one.name === name)
      if (found === undefined) throw new TypeError(`unknown: ${name}`)
      return found
    }) ?? all
  )
}
