/** The only place that refuses: it makes error answers and gives them to clients. They are problem details (RFC 9457) that tell the client what to do and nothing internal. */

import { STATUS_CODES } from 'node:http'
import { catalogue, Refusal, type Answer } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import { sendAnswer } from './answer.ts'

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

/**
 * Answers with a refusal where somebody can still read one; where the response has begun, the connection is cut. Gives what the
 * exchange ended by: E_INTERNAL where the answer itself cannot be written.
 */
export function giveRefusal(client: Client, refusal: Refusal, requestId: string): Refusal {
  const isLost = client.gone && client.goneBy === 'reset'
  if (isLost || client.responded || refusal.code === 'E_CLIENT_GONE') {
    client.destroy()
    return refusal
  }
  try {
    sendAnswer(client, refusalAnswer(refusal, requestId))
    return refusal
  } catch (error) {
    const failure = Refusal.ofError(error)
    sendAnswer(client, refusalAnswer(failure, requestId))
    return failure
  }
}
