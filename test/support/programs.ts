/**
 * Real programs that tests use as clients, proxies and checkers. One that is missing makes its tests skip with the name
 * of its Debian package; where CI is set it makes them fail instead, so that nothing goes untested there unnoticed.
 */

import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Program {
  /** Absolute path. Reading it throws when the program is missing. */
  readonly path: string
  /** For the options of a test. */
  readonly skip: string | false
}

/** Looks for `name` in PATH and where Debian has programs for root. */
export function findProgram(name: string, debianPackage: string = name): Program {
  return asProgram(
    candidates(name)[0],
    `${name} is not installed (apt-get install ${debianPackage})`,
  )
}

/** A python3 that can import `module`; the first one in PATH need not be the one with Debian's modules. */
export function findPython(module: string, debianPackage: string): Program {
  const found = candidates('python3').find(
    (python) => spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0,
  )
  return asProgram(found, `no python3 can import ${module} (apt-get install ${debianPackage})`)
}

/** A file that a program loads, by its absolute path. */
export function findFile(path: string, debianPackage: string): Program {
  const missing = `${path} is not there (apt-get install ${debianPackage})`
  return asProgram(existsSync(path) ? path : undefined, missing)
}

function asProgram(path: string | undefined, missing: string): Program {
  if (path !== undefined) return { path, skip: false }
  return {
    get path(): string {
      throw new Error(missing)
    },
    skip: isCi() ? false : missing,
  }
}

/** Whether this runs where nothing may go untested unnoticed. */
export function isCi(): boolean {
  const value = process.env['CI'] ?? ''
  return value !== '' && value !== 'false' && value !== '0'
}

function candidates(name: string): string[] {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/bin',
    '/usr/sbin',
    '/sbin',
  ]
  return [...new Set(folders)].map((folder) => join(folder, name)).filter(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program that runs beside the test and is killed, if it still runs, when the test is done with it. */
export class RunningProgram implements AsyncDisposable {
  readonly child: ChildProcess
  readonly exited: Promise<Exit>
  #stdout = ''
  #stderr = ''
  #wake: (() => void)[] = []
  #exit: Exit | undefined

  constructor(path: string, args: readonly string[], options: SpawnOptions = {}) {
    this.child = spawn(path, args, { stdio: 'pipe', ...options })
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#tell()
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      this.#tell()
    })
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => {
        this.#exit = { code, signal, stdout: this.#stdout, stderr: this.#stderr }
        this.#tell()
        resolve(this.#exit)
      })
    })
    // A test that never waits for the exit learns of a failure by the output that does not come.
    this.exited.catch(() => {})
  }

  /** Everything on standard output so far. */
  get stdout(): string {
    return this.#stdout
  }

  /** The first match in what it writes (standard output, or `from`), past or to come. Rejects when it ends without. */
  output(pattern: RegExp, from: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return this.until(
      () => pattern.exec(from === 'stdout' ? this.#stdout : this.#stderr) ?? undefined,
      String(pattern),
    )
  }

  /** What `look` finds; it is asked whenever the program writes. Rejects when the program ends before that. */
  async until<T>(look: () => T | undefined, what: string): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (this.#exit !== undefined) {
        const exit = JSON.stringify(this.#exit)
        throw new Error(`${this.child.spawnfile} ended without ${what}: ${exit}`)
      }
      await Promise.race([this.#next(), this.exited])
    }
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.pid === undefined) return
    if (this.#exit === undefined) this.child.kill('SIGKILL')
    await this.exited
  }
}

/** Runs a program to its end, with `input` on its standard input. */
export async function runProgram(
  path: string,
  args: readonly string[],
  { input = '', ...options }: SpawnOptions & { readonly input?: string | Buffer } = {},
): Promise<Exit> {
  await using running = new RunningProgram(path, args, options)
  // A program that does not read to the end is no failure of the test.
  running.child.stdin?.on('error', () => {})
  running.child.stdin?.end(input)
  return await running.exited
}
