/** The page of results: the machine, the peers as they were set up, and the tables. */
import { availableParallelism, cpus, release } from 'node:os'
import type { Peer } from './peers.ts'
import { costTable, shareLines, targetTable, wallTable, type Results } from './table.ts'

export interface RunFacts {
  readonly rounds: number
  /** The load average before the run: what else the machine was doing. */
  readonly startLoad: number
  readonly contestants: readonly { readonly peer: Peer; readonly version: string }[]
}

/** Markdown. Sections without content are left out. */
export function report(results: Results, facts: RunFacts): string {
  const names = facts.contestants.map(({ peer }) => peer.name)
  const sections: readonly [intro: string, content: string][] = [
    [head(facts), costTable(results, names)],
    ['How far upgate is from what it is meant to reach (ratios of medians):', targetTable(results)],
    [
      'By the clock on the wall, for orientation alone: this depends on who shares the cores.',
      wallTable(results, names),
    ],
    [
      'The largest shares of a core that the load generator and the upstream took, per sample:',
      shareLines(results),
    ],
  ]
  const written = sections.filter(([, content]) => content !== '')
  return written.map(([intro, content]) => `${intro}\n\n${content}\n`).join('\n')
}

function head(facts: RunFacts): string {
  const args = process.argv.slice(2)
  const command = ['npm run bench', ...(args.length > 0 ? ['--'] : []), ...args].join(' ')
  const cpu = cpus()[0]?.model.trim() ?? 'of an unknown kind'
  const peers = facts.contestants.map(
    ({ peer, version }) => `- ${peer.name} ${version}: ${peer.about}`,
  )
  return `# Benchmark

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}, ${facts.rounds} rounds.

- machine: ${availableParallelism()} cores (${cpu}), Linux ${release()}, load average before the run ${facts.startLoad.toFixed(2)}
- Node ${process.version} for upgate, http-proxy-3 and the runner
${peers.join('\n')}

All peers, the load generator and the upstream share the machine and talk over loopback. A cost is the CPU time, user
and system, of all of a peer's threads, or its memory (PSS without mapped files) above that of the same process without tunnels.
Medians of the rounds, the smallest and the largest in parentheses; in bold how many times upgate's cost it is.`
}
