/** A log that a test can read, and wait for. */

import type { AuthLog } from '../../src/auth/identity.ts'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const DEADLINE_MS = 10_000

export class RecordingLog implements AuthLog {
  readonly lines: LogLine[] = []
  #taken = 0
  #wake: (() => void) | undefined

  info(fields: object, message: string): void {
    this.#add('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#add('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#add('error', fields, message)
  }

  /** The next line that was not asked for yet, as soon as it is there. One caller at a time. */
  async next(): Promise<LogLine> {
    if (this.#taken === this.lines.length) {
      await new Promise<void>((resolve, reject) => {
        const deadline = setTimeout(() => reject(new Error('nothing was logged')), DEADLINE_MS)
        this.#wake = () => {
          clearTimeout(deadline)
          resolve()
        }
      })
    }
    const line = this.lines[this.#taken] as LogLine
    this.#taken += 1
    return line
  }

  #add(level: LogLine['level'], fields: object, message: string): void {
    this.lines.push({ level, message, fields: { ...fields } })
    this.#wake?.()
    this.#wake = undefined
  }
}
