/** How many tunnels have to leave which endpoints for all to have their share. Pure: it knows loads and no tunnels. */

/** What an endpoint carries. */
export interface Load {
  /** Above 0. */
  readonly weight: number
  /** Tunnels that are open and not told to end. */
  readonly open: number
}

export interface SurplusOptions {
  /** How far above its share an endpoint may be, as a part of it. */
  readonly spread: number
  /** Tunnels of nowhere that are expected back: they count for what everybody's share is. */
  readonly away: number
  /** No more than so many are to leave. */
  readonly closingsMax: number
}

/**
 * For each load how many of its tunnels are to leave, those of the fullest first. Only a load that is above its share by more
 * than the spread loses any, until it is not; none gets below its share.
 */
export function closingsOf(loads: readonly Load[], options: SurplusOptions): readonly number[] {
  const { spread, away, closingsMax } = options
  const shares = sharesOf(loads, away)
  const open = loads.map((load) => load.open)
  for (let closings = 0; closings < closingsMax; closings += 1) {
    let fullest = -1
    let most = 1 + spread
    for (const [index, share] of shares.entries()) {
      const count = open[index] as number
      if (count > share * most && count - 1 >= share) {
        fullest = index
        most = count / share
      }
    }
    if (fullest === -1) break
    open[fullest] = (open[fullest] as number) - 1
  }
  return loads.map((load, index) => load.open - (open[index] as number))
}

/** What part of all tunnels is above the shares; 0 when all have theirs, and when there is no tunnel. */
export function excessOf(loads: readonly Load[]): number {
  let all = 0
  let above = 0
  for (const [index, share] of sharesOf(loads, 0).entries()) {
    const { open } = loads[index] as Load
    all += open
    above += Math.max(0, open - share)
  }
  return all === 0 ? 0 : above / all
}

function sharesOf(loads: readonly Load[], away: number): readonly number[] {
  let tunnels = away
  let weights = 0
  for (const { open, weight } of loads) {
    tunnels += open
    weights += weight
  }
  return loads.map(({ weight }) => (tunnels * weight) / weights)
}
