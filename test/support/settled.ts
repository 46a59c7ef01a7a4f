/** How many turns without a change count as standing still: far more than a byte needs from one socket of this process to another. */
const TURNS = 500

/** Waits until a number has stopped moving, and returns it. What moves it has to do so within a `turn`: by default this process, and one of its event loop. */
export async function settled(
  read: () => number,
  turn: () => Promise<void> = nextTurn,
): Promise<number> {
  let last = read()
  for (let turns = 0; turns < TURNS; turns += 1) {
    await turn()
    const now = read()
    if (now !== last) turns = 0
    last = now
  }
  return last
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
