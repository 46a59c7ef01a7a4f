/** Many WebSocket clients with traffic, in a process of their own. */

import { fileURLToPath } from 'node:url'
import { RunningProgram } from './programs.ts'

const FLEET = fileURLToPath(new URL('../fixtures/e2e/fleet.ts', import.meta.url))

export interface FleetReport {
  readonly open: number
  /** Messages that came back, of all clients together. */
  readonly echoes: number
  /** The longest that one was on its way. */
  readonly worstMs: number
  /** Messages that came back changed, twice or in another order. */
  readonly wrong: number
  /** In the order in which clients saw them. */
  readonly closes: readonly {
    readonly code: number
    readonly reason: string
    /** Milliseconds since 1970. */
    readonly atMs: number
  }[]
}

export class Fleet implements AsyncDisposable {
  readonly #program: RunningProgram

  /** Stops the process, as a machine is stopped that has lost its power: its sockets stay, and say nothing. */
  freeze(): void {
    this.#program.child.kill('SIGSTOP')
  }

  /** Fulfilled when all `count` clients are open, each of which sends a message every `periodMs`. */
  static async start(url: string, count: number, periodMs: number): Promise<Fleet> {
    const program = new RunningProgram(
      process.execPath,
      [FLEET, url, String(count), String(periodMs)],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    await program.output(/^open$/m)
    return new Fleet(program)
  }

  private constructor(program: RunningProgram) {
    this.#program = program
  }

  async report(): Promise<FleetReport> {
    const before = this.#reports().length
    this.#program.child.stdin?.write('report\n')
    const last = await this.#program.until(() => this.#reports()[before], 'a report of the fleet')
    return JSON.parse(last.slice('report '.length)) as FleetReport
  }

  /** Fulfilled when every client has seen its connection close. */
  async closed(): Promise<FleetReport> {
    await this.#program.output(/^closed$/m)
    return this.report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]()
  }

  #reports(): string[] {
    return this.#program.stdout
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('report '))
  }
}
