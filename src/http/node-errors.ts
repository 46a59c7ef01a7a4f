/** What the errors of node's HTTP client and server mean for an exchange. */

import type { BreakOff } from './exchange.ts'

/** For the log. */
function causeOf({ code, message }: NodeJS.ErrnoException): string {
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`
}

/** The upstream's connection broke, or what came over it did, in the middle of an answer. */
export function breakOffBy(error: NodeJS.ErrnoException): BreakOff {
  const reason = error.code === 'ECONNRESET' ? 'reset' : 'error'
  return { by: 'upstream', reason, cause: causeOf(error) }
}

/** The code of an error that node throws for a head that it does not write. Anything else is thrown again. */
export function nodeErrorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    if (error.code.startsWith('ERR_')) return error.code
  }
  throw error
}
