/** The only place that makes error answers: problem details (RFC 9457) that tell the client what to do and nothing internal. */

import { STATUS_CODES } from 'node:http'
import { catalogue, type Answer, type Refusal } from '../errors.ts'

/** The answer to a refusal: somebody else's where the refusal carries one, else ours. `requestId` is repeated to the client. */
export function refusalAnswer(refusal: Refusal, requestId: string): Answer {
  const { answer, retryAfterSeconds, fields } = refusal.details
  if (answer !== undefined) return answer
  const { status, text } = catalogue[refusal.code]
  const title = STATUS_CODES[status] ?? 'Error'
  const body = Buffer.from(
    `${JSON.stringify({ type: 'about:blank', title, status, detail: text, code: refusal.code, requestId })}\n`,
  )
  return {
    status,
    reason: title,
    fields: [
      'Content-Type',
      'application/problem+json',
      'Content-Length',
      String(body.length),
      'Cache-Control',
      'no-store',
      'X-Request-Id',
      requestId,
      ...(retryAfterSeconds === undefined ? [] : ['Retry-After', String(retryAfterSeconds)]),
      ...(fields ?? []),
    ],
    body,
  }
}
