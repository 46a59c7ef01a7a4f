/**
 * Compares upgate with its peers: all run at once, each work goes round them in turns, and what counts is the CPU time
 * of a peer's processes for one unit of work, not the clock on the wall, but where latency is the work. Prints the
 * tables and, of a whole run, writes them to bench/results.md with the chart beside it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { pinningObstacle } from './affinity.ts'
import { makeCertificate } from './certificate.ts'
import { chart } from './chart.ts'
import { compete, contestants, type Contest } from './contest.ts'
import { buildPlainLoad, buildTlsLoad } from './load-program.ts'
import { LoadProcess, numberOf } from './load-process.ts'
import { readOptions, usage, type Options } from './options.ts'
import { report } from './report.ts'
import { Results } from './results.ts'
import type { Need } from './work.ts'

async function main(options: Options): Promise<void> {
  const startLoad = loadavg()[0] ?? 0
  buildPlainLoad()
  const upstream = new LoadProcess('plain', 'serve', { port: 0 })
  const upstreamPort = numberOf(await upstream.next(), 'port')
  const directory = mkdtempSync(join(import.meta.dirname, '../build/bench/run-'))
  const certificate = makeCertificate(directory)
  const results = new Results(options.works)
  skipWithout(results, 'tls', typeof certificate === 'string' ? certificate : buildTlsLoad())
  skipWithout(results, 'pinning', pinningObstacle())
  const site = {
    upstreamPort,
    root: directory,
    certificate: typeof certificate === 'string' ? undefined : certificate,
  }
  const contest: Contest = { upstream, site, results }
  const list = await contestants(contest, options)
  try {
    await compete(contest, options, list)
  } finally {
    for (const { running } of list) await running?.stop()
    await upstream.end()
    rmSync(directory, { recursive: true })
  }
  const text = report(results, { rounds: options.rounds, startLoad, contestants: list })
  console.log(`\n${text}`)
  if (options.resultsFile !== undefined) {
    writeFileSync(options.resultsFile, text)
    writeFileSync(options.resultsFile.replace(/(?:\.md)?$/, '.svg'), chart(results, list))
  }
  if (results.hasFailures) process.exitCode = 1
}

function skipWithout(results: Results, need: Need, obstacle: string | undefined): void {
  if (obstacle === undefined) return
  for (const work of results.works.filter(({ needs }) => needs === need)) {
    console.log(`${work.name}: left out: ${obstacle}`)
    results.skip(work, obstacle)
  }
}

let options: Options | undefined
try {
  options = readOptions(process.argv.slice(2))
} catch (error) {
  console.error(`${(error as Error).message}\n${usage}`)
  process.exitCode = 2
}
if (options !== undefined) await main(options)
