/** Random cases that are the same in each run, so that one that fails can be looked at again. */

/** Gives whole numbers from 0 to below its argument (a linear congruential generator). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
