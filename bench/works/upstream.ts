/** What the upstream counted, which is compared with what the load generator says it has sent. */
import { setTimeout as sleep } from 'node:timers/promises'
import { numberOf, type LoadLine, type LoadProcess } from '../load-process.ts'

const closeMs = 10_000

export async function askCounts(upstream: LoadProcess): Promise<LoadLine> {
  upstream.say('counts')
  return upstream.next()
}

/** The upstream's counts once its last tunnel has ended. */
export async function closed(upstream: LoadProcess): Promise<LoadLine> {
  const deadline = Date.now() + closeMs
  for (;;) {
    const counts = await askCounts(upstream)
    const open = numberOf(counts, 'tunnels')
    if (open === 0) return counts
    if (Date.now() > deadline) {
      throw new Error(`${open} tunnels still open at the upstream after ${closeMs} ms`)
    }
    await sleep(10)
  }
}

export function difference(after: LoadLine, before: LoadLine, name: string): number {
  return numberOf(after, name) - numberOf(before, name)
}
