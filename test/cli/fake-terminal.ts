/** A terminal that keeps what is printed, and answers as it was told. */

import { call } from '../../src/cli/call.ts'
import { parseArguments } from '../../src/cli/arguments.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

export class FakeTerminal implements Terminal {
  env: Record<string, string> = {}
  size: Terminal['size'] = undefined
  /** Undefined where nobody sits there. */
  answer: boolean | undefined
  out = ''
  err = ''
  readonly questions: string[] = []
  /** Called in place of each wait; false ends the watching. */
  onWait: () => Promise<boolean> | boolean = () => false

  get canAsk(): boolean {
    return this.answer !== undefined
  }

  print(text: string): void {
    this.out += text
  }

  clear(): void {
    this.out += '\x1b[H\x1b[2J\x1b[3J'
  }

  tell(line: string): void {
    this.err += `${line}\n`
  }

  async ask(question: string): Promise<boolean> {
    this.questions.push(question)
    return this.answer ?? false
  }

  async wait(): Promise<boolean> {
    return this.onWait()
  }
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command that asks the API. */
export async function run(words: readonly string[], terminal = new FakeTerminal()): Promise<Ran> {
  const command = parseArguments(words)
  if (command.name !== 'call') throw new Error(`${words.join(' ')} asks nobody: ${command.name}`)
  const code = await call(command, terminal)
  return { code, out: terminal.out, err: terminal.err }
}
