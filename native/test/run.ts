/**
 * Builds and runs the C tests of the native relay without Node: each `*_test.c` in every variant, and each `*_fuzz.c`
 * for a while under a fuzzer. A program passes by exiting with 0.
 *
 *     node native/test/run.ts [--fuzz-seconds N] [WORD ...]     only what has all words in VARIANT PROGRAM
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { RunningProgram } from '../../test/support/programs.ts'
import { cSources, languageFlags } from '../toolchain.ts'
import { fuzzVariant, testVariants, type FuzzVariant, type Variant } from './variants.ts'

const TIMEOUT_MS = 120_000

const testFolder = import.meta.dirname
const coreFolder = join(testFolder, '..')

interface Job {
  readonly variant: Variant
  readonly source: string
  /** Other files to link, before what all programs share. */
  readonly files: readonly string[]
  readonly args: readonly string[]
}

interface Result {
  readonly hasPassed: boolean
  /** What it wrote, and how it ended where it was not by its own will. */
  readonly words: string
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'fuzz-seconds': { type: 'string', default: '20' } },
})

function nameOf(path: string): string {
  return basename(path, '.c')
}

async function run(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const [program = '', ...args] = command
  // A group of its own, so that what a program has started ends with it.
  await using running = new RunningProgram(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const { pid } = running.child
  let hasTimedOut = false
  const timer = setTimeout(() => {
    hasTimedOut = true
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  }, TIMEOUT_MS)
  try {
    const { code, signal, stdout, stderr } = await running.exited
    const end = hasTimedOut ? `still running after ${TIMEOUT_MS} ms\n` : ''
    const cause = signal === null || hasTimedOut ? end : `ended by ${signal}\n`
    return { hasPassed: code === 0, words: stdout + stderr + cause }
  } catch (error) {
    return { hasPassed: false, words: `${(error as Error).message}\n` }
  } finally {
    clearTimeout(timer)
  }
}

/** Handles all items, as many at a time as there are cores. */
async function inParallel<T>(
  items: readonly T[],
  handle: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values()
  const worker = async (): Promise<void> => {
    for (const item of left) await handle(item)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
}

class Session {
  readonly folder = mkdtempSync(join(tmpdir(), 'upgate-native-'))
  readonly #counts = { passed: 0, failed: 0, skipped: 0 }

  /** A run that ran nothing proves nothing. */
  get hasSucceeded(): boolean {
    const { passed, failed } = this.#counts
    return passed > 0 && failed === 0
  }

  report(label: string, { hasPassed, words }: Result, startMs: number): void {
    this.#counts[hasPassed ? 'passed' : 'failed']++
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    process.stdout.write(`${hasPassed ? 'ok  ' : 'FAIL'} ${label}, ${seconds} s\n`)
    if (!hasPassed) process.stdout.write(words.replaceAll(/^(?=.)/gm, '     '))
  }

  skip(label: string, reason: string): void {
    this.#counts.skipped++
    process.stdout.write(`skip ${label}: ${reason}\n`)
  }

  end(): void {
    const { passed, failed, skipped } = this.#counts
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    if (failed === 0) rmSync(this.folder, { recursive: true })
    else process.stderr.write(`What was built is left in ${this.folder}\n`)
  }
}

const session = new Session()

function compile({ compiler, flags }: Variant, args: readonly string[]): Promise<Result> {
  const folders = ['-I', coreFolder, '-I', testFolder]
  return run([...compiler, ...languageFlags, ...flags, ...folders, ...args])
}

/** The core and what the tests share. An archive, so that a program may have its own version of a part. */
async function buildShared(variant: Variant): Promise<string | undefined> {
  const startMs = performance.now()
  const isShared = /(?<!_test|_fuzz|_program|fuzz_main)\.c$/
  const core = cSources(coreFolder).filter((path) => !nameOf(path).startsWith('addon'))
  const sources = [...core, ...cSources(testFolder).filter((path) => isShared.test(path))]
  const folder = join(session.folder, variant.name)
  mkdirSync(folder)
  const objects: string[] = []
  const failures: string[] = []
  await inParallel(sources, async (source) => {
    const object = join(folder, `${nameOf(source)}.o`)
    objects.push(object)
    const { hasPassed, words } = await compile(variant, ['-c', '-o', object, source])
    if (!hasPassed) failures.push(words)
  })
  const archive = join(folder, 'shared.a')
  if (failures.length === 0) {
    const { hasPassed, words } = await run([variant.archiver, 'rcs', archive, ...objects])
    if (hasPassed) return archive
    failures.push(words)
  }
  const result = { hasPassed: false, words: failures.join('') }
  session.report(`${variant.name} compiles the core`, result, startMs)
  return undefined
}

async function buildAndRun({ variant, source, files, args }: Job, shared: string): Promise<void> {
  const startMs = performance.now()
  const label = `${variant.name} ${nameOf(source)}`
  const program = join(session.folder, variant.name, nameOf(source))
  const built = await compile(variant, ['-o', program, source, ...files, shared])
  const result = built.hasPassed
    ? await run([...variant.launcher, program, ...args], variant.env)
    : built
  session.report(label, result, startMs)
}

function whyNot({ needs }: Variant): string | undefined {
  return needs.map(({ skip }) => skip).find((reason) => reason !== false)
}

/** Tests that wait for each other's threads run one by one, fuzz targets on all cores. */
async function runVariant(variant: Variant, jobs: readonly Job[], isFuzz: boolean): Promise<void> {
  const wanted = jobs.filter(({ source }) =>
    positionals.every((word) => `${variant.name} ${nameOf(source)}`.includes(word)),
  )
  if (wanted.length === 0) return
  const reason = whyNot(variant)
  if (reason !== undefined) {
    for (const { source } of wanted) session.skip(`${variant.name} ${nameOf(source)}`, reason)
    return
  }
  const shared = await buildShared(variant)
  if (shared === undefined) return
  if (isFuzz) await inParallel(wanted, (job) => buildAndRun(job, shared))
  else for (const job of wanted) await buildAndRun(job, shared)
}

function fuzzJob(variant: FuzzVariant, source: string): Job {
  const seconds = values['fuzz-seconds']
  if (!variant.hasFuzzer)
    return {
      variant,
      source,
      files: [join(testFolder, 'fuzz_main.c')],
      args: [seconds, String(Date.now())],
    }
  const artifacts = `-artifact_prefix=${session.folder}/`
  const args = [`-max_total_time=${seconds}`, '-timeout=10', '-verbosity=0', artifacts]
  return { variant, source, files: [], args }
}

const sources = cSources(testFolder)
const tests = sources.filter((path) => path.endsWith('_test.c'))
const targets = sources.filter((path) => path.endsWith('_fuzz.c'))

for (const variant of testVariants()) {
  const jobs = tests.map((source) => ({ variant, source, files: [], args: [] }))
  await runVariant(variant, jobs, false)
}
const fuzzer = fuzzVariant()
const fuzzJobs = targets.map((source) => fuzzJob(fuzzer, source))
await runVariant(fuzzer, fuzzJobs, true)
session.end()
if (!session.hasSucceeded) process.exitCode = 1
