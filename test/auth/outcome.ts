/** What came of a check, in short. */

import assert from 'node:assert/strict'
import type { Grant } from '../../src/auth/grant.ts'
import type { Identity } from '../../src/auth/identity.ts'
import { Refusal } from '../../src/errors.ts'

/** The code of a refusal, or `pass` and who it is. */
export function codeOf(outcome: Identity | Refusal): string {
  return outcome instanceof Refusal ? outcome.code : `pass ${outcome.user}`
}

/** The only one of who has passed. */
export function grantOf(outcome: Identity | Refusal): Grant {
  assert.ok(!(outcome instanceof Refusal))
  const [grant, ...others] = outcome.grants
  assert.ok(grant !== undefined && others.length === 0)
  return grant
}
