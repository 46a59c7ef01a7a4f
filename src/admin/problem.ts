/** What the API says when it does not do what it was asked: problem details (RFC 9457). */

import { STATUS_CODES } from 'node:http'
import { z } from 'zod'
import { named } from './schemas.ts'

export const problemSchema = named(
  'Problem',
  z.strictObject({
    type: z.literal('about:blank'),
    title: z.string().describe("The status in HTTP's words."),
    status: z.int().min(400).max(599),
    detail: z.string().describe('What is wrong, and what would be right.'),
    problems: z
      .array(z.string())
      .optional()
      .describe('Where several things are wrong: all of them, one by one.'),
  }),
)

export type ProblemBody = z.infer<typeof problemSchema>

/** What an operation, or who stands in front of it, answers. */
export interface Answer {
  readonly status: number
  /** Becomes JSON. */
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** An answer of 400 or above. `problems` are told where there are several. */
export function problem(status: number, detail: string, more: ProblemMore = {}): Answer {
  const body: ProblemBody = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    ...(more.problems === undefined ? {} : { problems: [...more.problems] }),
  }
  return { status, body, headers: { ...more.headers } }
}

interface ProblemMore {
  readonly problems?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

export function isProblem(answer: Answer): boolean {
  return answer.status >= 400
}
