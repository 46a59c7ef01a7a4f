/**
 * Descriptors and memory for connections that this process, or its machine, has no more of. It is nobody else's fault: the
 * health of no endpoint depends on it, and no other endpoint would be reached either.
 */

import { closeSync, openSync } from 'node:fs'
import { Refusal } from './errors.ts'

const CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

/** Connections end all the time, but not at once. */
const RETRY_AFTER_SECONDS = 5

/** Whether the code of an error says so. */
export function isExhaustion(code: string | undefined): boolean {
  return code !== undefined && CODES.has(code)
}

/** What went wrong at a connect or a name lookup: an error of Node's, or its parts. */
interface Failure {
  readonly code?: string | undefined
  readonly syscall?: string | undefined
  readonly message: string
}

/** E_GATEWAY_EXHAUSTED where that is why a connect or a name lookup failed, else undefined. */
export function exhaustion(error: Failure): Refusal | undefined {
  const { code, syscall, message } = error
  const missing = isExhaustion(code) ? code : lookupMissed(syscall)
  if (missing === undefined) return undefined
  const cause = message.includes(missing) ? message : `${missing}: ${message}`
  return new Refusal('E_GATEWAY_EXHAUSTED', { cause, retryAfterSeconds: RETRY_AFTER_SECONDS })
}

/** A resolver without descriptors says that there is no such name, or that it knows none for now. */
function lookupMissed(syscall: string | undefined): string | undefined {
  return syscall === 'getaddrinfo' ? missingNow() : undefined
}

/** The error code for which no descriptor can be had now; undefined where one can. */
export function missingNow(): string | undefined {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return isExhaustion(code) ? code : undefined
  }
}
