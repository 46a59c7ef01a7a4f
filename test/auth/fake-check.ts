/** A check that answers as a test says. */

import type { Check, Identity } from '../../src/auth/identity.ts'
import type { Refusal } from '../../src/errors.ts'

type Result = Identity | Refusal

/** It renews its own grants alone. */
export function fakeCheck(
  name: string,
  result: Result | (() => Result | Promise<Result>),
  more: Partial<Check> = {},
): Check {
  const check: Check = {
    name,
    check: typeof result === 'function' ? result : () => result,
    ownFields: [],
    renew: (grant) => (grant.giver === check ? grant : undefined),
    close: () => undefined,
    ...more,
  }
  return check
}
