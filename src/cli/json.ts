/** JSON for scripts that is also safe to look at. */

import { visibleJson } from '../base/visible.ts'

/** The API's answer, with the characters escaped that JSON lets through and terminals obey. */
export function jsonText(value: unknown): string {
  return `${visibleJson(JSON.stringify(value, null, 2))}
`
}
