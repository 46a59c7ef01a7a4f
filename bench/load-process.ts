/** The load generator as a child process that speaks JSON lines: an error it reports becomes a rejection with its words. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { loadProgram, type WireKind } from './load-program.ts'

/** One line of the load generator: numbers by name, and the words of a failure. */
export interface LoadLine {
  readonly [name: string]: number | string | boolean
}

export class LoadProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #interface: Interface
  readonly #lines: AsyncIterator<string>

  constructor(wire: WireKind, mode: string, settings: Readonly<Record<string, number>>) {
    const args = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    this.#child = spawn(loadProgram(wire), [mode, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#interface = createInterface(this.#child.stdout)
    this.#lines = this.#interface[Symbol.asyncIterator]()
    // A process that has died is told of by its last line, or by there being none.
    this.#child.stdin.on('error', () => {})
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The next line. Rejects with the error the line tells of, or if the process has ended. */
  async next(): Promise<LoadLine> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error('the load generator has ended')
    const line = JSON.parse(value) as LoadLine
    if (line['error'] !== undefined) throw new Error(String(line['error']))
    return line
  }

  say(word: string): void {
    this.#child.stdin.write(`${word}\n`)
  }

  /** Lets it end, which closes all its connections. */
  async end(): Promise<void> {
    const ended =
      this.#child.exitCode === null && this.#child.signalCode === null
        ? once(this.#child, 'exit')
        : Promise.resolve()
    this.#child.stdin.end()
    await ended
    this.#interface.close()
  }
}

/** A number of a line. Throws where the line has none under that name. */
export function numberOf(line: LoadLine, name: string): number {
  const value = line[name]
  if (typeof value !== 'number') throw new TypeError(`the load generator gave no ${name}`)
  return value
}
