/** Where commands print, and whom they may ask. */

import { createInterface } from 'node:readline'

import { visibleLines } from '../base/visible.ts'
import type { Environment } from '../config/environment.ts'

export interface Terminal {
  readonly env: Environment
  /** Of what is printed; undefined where that is no terminal. */
  readonly size: { readonly columns: number; readonly rows: number } | undefined
  /** Somebody sits there and can answer. */
  readonly canAsk: boolean
  /** The result of a command. What a terminal would obey in it is escaped, as in lines. */
  print(text: string): void
  /** Everything away, and on from the upper left. */
  clear(): void
  /** A line about it, for people. */
  tell(line: string): void
  /** True for yes; everything else is no. */
  ask(question: string): Promise<boolean>
  /** Fulfilled after so many milliseconds; false when Ctrl-C came in between or before. */
  wait(ms: number): Promise<boolean>
}

/** To the upper left, and all of the screen and of what was on it before. */
const CLEAR = '\x1b[H\x1b[2J\x1b[3J'

/** That of a process. */
export function terminalOf(host: NodeJS.Process): Terminal {
  const { env, stdin, stdout, stderr } = host
  let interrupted: AbortController | undefined
  return {
    env,
    get size() {
      return stdout.isTTY ? { columns: stdout.columns, rows: stdout.rows } : undefined
    },
    canAsk: stdin.isTTY && stderr.isTTY,
    print: (text) => void stdout.write(visibleLines(text)),
    clear: () => void stdout.write(CLEAR),
    tell: (line) => void stderr.write(`${visibleLines(line)}\n`),
    ask: (question) => askYesNo(question, stdin, stderr),
    wait: (ms) => {
      interrupted ??= abortAtInterrupt(host)
      return elapsed(ms, interrupted.signal)
    },
  }
}

/** Ctrl-C, Ctrl-D and the end of a script are a no as well. */
function askYesNo(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<boolean> {
  return new Promise((resolve) => {
    const lines = createInterface({ input, output })
    const onUnanswered = (): void => {
      output.write('\n')
      resolve(false)
    }
    lines.once('SIGINT', () => lines.close())
    lines.once('close', onUnanswered)
    lines.question(visibleLines(question), (answer) => {
      lines.off('close', onUnanswered)
      lines.close()
      resolve(/^\s*y(?:es)?\s*$/i.test(answer))
    })
  })
}

function abortAtInterrupt(host: NodeJS.Process): AbortController {
  const controller = new AbortController()
  host.once('SIGINT', () => controller.abort())
  return controller
}

function elapsed(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const onAbort = (): void => {
      clearTimeout(timer)
      resolve(false)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve(true)
    }, ms)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
