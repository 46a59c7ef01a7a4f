/** The page of results: the machine, the peers as they were set up, the tables, and the notes that people wrote. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { join } from 'node:path'
import { markdownList } from './markdown.ts'
import type { Peer } from './peer.ts'
import type { Results } from './results.ts'
import { costTable, gapLines, shareLines, wallTable } from './tables.ts'
import { targetTable } from './targets.ts'
import { settingsTable } from './settings-table.ts'

export interface RunFacts {
  readonly rounds: number
  /** The load average before the run: what else the machine was doing. */
  readonly startLoad: number
  readonly contestants: readonly { readonly peer: Peer; readonly version: string }[]
}

/** Kept by hand, so that it outlives the pages that are written by a run. */
const notesFile = join(import.meta.dirname, 'notes.md')

/** Markdown. Sections without content are left out. */
export function report(results: Results, facts: RunFacts): string {
  const names = facts.contestants
    .filter(({ peer }) => peer.variantOf === undefined)
    .map(({ peer }) => peer.name)
  const sections: readonly [intro: string, content: string][] = [
    [head(facts), costTable(results, names)],
    ['Not measured:', gapLines(results)],
    [
      'How far upgate is from what it is meant to reach (ratios of medians where two are named):',
      targetTable(results),
    ],
    [
      'Settings of upgate against each other. Shares are of one core; the load generator and the upstream have one thread each.',
      settingsTable(results),
    ],
    [
      'By the clock on the wall, for orientation alone: this depends on who shares the cores.',
      wallTable(results, names),
    ],
    [
      'The largest shares of a core that the load generator and the upstream took in a sample, and the median of what the rest of the machine took:',
      shareLines(results),
    ],
  ]
  const written = sections.filter(([, content]) => content !== '')
  const pages = written.map(([intro, content]) => `${intro}\n\n${content}\n`)
  return [...pages, readFileSync(notesFile, 'utf8')].join('\n')
}

function head(facts: RunFacts): string {
  const args = process.argv.slice(2)
  const command = ['npm run bench', ...(args.length > 0 ? ['--'] : []), ...args].join(' ')
  const cpu = cpus()[0]?.model.trim() ?? 'of an unknown kind'
  const peers = facts.contestants.map(
    ({ peer, version }) => `${peer.name} ${version}: ${peer.about}`,
  )
  const about = [
    `machine: ${availableParallelism()} cores (${cpu}), Linux ${release()}, load average before the run ${facts.startLoad.toFixed(2)}`,
    `Node ${process.version} for upgate, http-proxy-3 and the runner`,
    ...peers,
  ]
  return `# Benchmark

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}, ${facts.rounds} rounds.

${markdownList(about)}

All peers, the load generator and the upstream share the machine and talk over loopback. A cost is the CPU time, user
and system, of all of a peer's threads, or its memory (PSS without mapped files) above that of the same process with 1,500 tunnels.
Messages are binary frames of WebSocket, masked by the client. A latency is from the time a message was sent, or due by the clock, to its echo; the peer has a core to itself then, and
the load generator and the upstream share another one. In front TLS is 1.3 with TLS_AES_128_GCM_SHA256.
HTTP/2 is without TLS, with prior knowledge (h2c): a WebSocket is an extended CONNECT of RFC 8441 there, and HTTP/1.1 to the upstream as ever.
Medians of the rounds, the smallest and the largest in parentheses; in bold how many times upgate's cost it is.`
}
