/**
 * Via (RFC 9110 7.6.3): by its own entry a gateway knows a request that it has sent on before, and that would go round in
 * circles until something runs out. It counts from everybody, as the way back may lead through anyone.
 */

import { randomBytes } from 'node:crypto'
import type { Fields } from '../errors.ts'
import { fieldValues } from './headers.ts'

/** The name of one gateway in Via: nobody else has it, and it says nothing of the machine. */
export function newPseudonym(): string {
  return `upgate-${randomBytes(8).toString('hex')}`
}

/** Whether a request with these fields has come through the gateway of this name. Nobody can write its name by accident. */
export function hasPassed(fields: Fields, pseudonym: string): boolean {
  return fieldValues(fields, 'via').some((value) => value.includes(pseudonym))
}
