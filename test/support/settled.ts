/** How many turns of the event loop without a change count as standing still: far more than a byte needs from one socket of this process to another. */
const TURNS = 500

/** Waits until a number that this process moves has stopped moving, and returns it. */
export async function settled(read: () => number): Promise<number> {
  let last = read()
  for (let turn = 0; turn < TURNS; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    const now = read()
    if (now !== last) turn = 0
    last = now
  }
  return last
}
