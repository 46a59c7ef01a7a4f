/**
 * The balancing policies. A policy picks one of the candidates it is given; it knows nothing of health, and the only
 * state it has is the rotation that each candidate carries.
 */

import type { BalanceConfig } from '../config/config.ts'

/** What a policy may know of an endpoint. */
export interface Candidate {
  /** Above 0. */
  readonly weight: number
  readonly inUse: number
  /** A hash of its URL, from `hashText`. */
  readonly seed: number
  /** Of smooth round-robin: how long it has been waiting, in weights. Policies write it. */
  turn: number
}

/** Picks one of at least one candidate. `key` matters to `hash` alone, `random` gives numbers in [0, 1). */
export type Pick = <C extends Candidate>(
  candidates: readonly [C, ...C[]],
  key: string,
  random: () => number,
) => C

/** The pick function of a policy. */
export function pickFor(policy: BalanceConfig['policy']): Pick {
  return picks[policy]
}

const picks: Readonly<Record<BalanceConfig['policy'], Pick>> = {
  'least-tunnels': pickLeastTunnels,
  'round-robin': pickRoundRobin,
  'random-two': pickRandomTwo,
  hash: pickByHash,
}

/** Fewest in use by weight. Equals take turns by weight, so that an idle upstream does not send everything to its first endpoint. */
function pickLeastTunnels<C extends Candidate>(candidates: readonly [C, ...C[]]): C {
  let least = candidates[0]
  for (const candidate of candidates) {
    if (isLessLoaded(candidate, least)) least = candidate
  }
  let weights = 0
  // The first of the equals, so that its turn has grown before another is compared with it.
  let chosen = least
  for (const candidate of candidates) {
    if (isLessLoaded(least, candidate)) continue
    weights += candidate.weight
    candidate.turn += candidate.weight
    if (candidate.turn > chosen.turn) chosen = candidate
  }
  return takeTurn(chosen, weights)
}

/** Smooth weighted round-robin (nginx): weights 3 and 1 give a a b a, not a a a b. */
function pickRoundRobin<C extends Candidate>(candidates: readonly [C, ...C[]]): C {
  let weights = 0
  let chosen = candidates[0]
  for (const candidate of candidates) {
    weights += candidate.weight
    candidate.turn += candidate.weight
    if (candidate.turn > chosen.turn) chosen = candidate
  }
  return takeTurn(chosen, weights)
}

function takeTurn<C extends Candidate>(chosen: C, weights: number): C {
  chosen.turn -= weights
  return chosen
}

/** The less loaded of two different candidates, drawn by weight: near to the least of all, without the herd that follows a shared minimum. */
function pickRandomTwo<C extends Candidate>(
  candidates: readonly [C, ...C[]],
  _key: string,
  random: () => number,
): C {
  const first = drawByWeight(candidates, random(), undefined)
  if (candidates.length === 1) return first
  const second = drawByWeight(candidates, random(), first)
  return isLessLoaded(second, first) ? second : first
}

function drawByWeight<C extends Candidate>(
  candidates: readonly [C, ...C[]],
  fraction: number,
  except: C | undefined,
): C {
  let weights = 0
  for (const candidate of candidates) {
    if (candidate !== except) weights += candidate.weight
  }
  let left = fraction * weights
  let drawn = candidates[0]
  for (const candidate of candidates) {
    if (candidate === except) continue
    drawn = candidate
    left -= candidate.weight
    if (left < 0) break
  }
  return drawn
}

/**
 * Weighted rendezvous hashing: every candidate gets a score from the key, the highest wins. A candidate that goes
 * takes away its own keys only, one that comes takes its share from all, and several gateways agree without talking.
 */
function pickByHash<C extends Candidate>(candidates: readonly [C, ...C[]], key: string): C {
  const keyHash = hashText(key)
  let chosen = candidates[0]
  let best = Number.NEGATIVE_INFINITY
  for (const candidate of candidates) {
    // In (0, 1), so that the logarithm is finite and below 0.
    const hash = (mix(keyHash ^ candidate.seed) + 0.5) / 2 ** 32
    const score = -candidate.weight / Math.log(hash)
    if (score > best) {
      best = score
      chosen = candidate
    }
  }
  return chosen
}

/** Cross-multiplied, as a quotient of weights such as 1 and 3 would make equals differ by a rounding error. */
function isLessLoaded(one: Candidate, other: Candidate): boolean {
  return one.inUse * other.weight < other.inUse * one.weight
}

/** A 32-bit hash of a text, the same in every process: FNV-1a over its UTF-16 units, then mixed. It keeps no secrets. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return mix(hash)
}

/** MurmurHash3's finalizer: each bit of the input flips half of the output's bits. */
function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
