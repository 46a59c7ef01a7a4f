/** Reads the JSON body of a call, bounded. */

import type { IncomingMessage } from 'node:http'
import type { Raw } from './parameters.ts'
import { problem, type Answer } from './problem.ts'

const BODY_BYTES_MAX = 16 * 1024

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** A map, which is empty where no body came; or why it is not one. */
export async function readBody(
  request: IncomingMessage,
): Promise<{ readonly value: Raw } | Answer> {
  const { headers } = request
  if (!hasBody(request)) return { value: {} }
  // A form of another site's page can send any text but not this type.
  if (!/^application\/json *(?:;|$)/i.test(headers['content-type'] ?? '')) {
    return problem(415, 'A body has to be JSON, with Content-Type: application/json.')
  }
  // What is left of a longer one is read by node, and thrown away, once the answer is out.
  const chunks: Buffer[] = []
  let bytes = 0
  const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) {
        return problem(413, `A body has at most ${BODY_BYTES_MAX / 1024} KiB here.`)
      }
      chunks.push(chunk)
    }
  } catch {
    // Who calls has left, or was too slow for node, which has told him so: nobody reads this.
    return problem(400, 'The body ends too early.')
  }
  return parse(Buffer.concat(chunks).toString('utf8'))
}

function parse(text: string): { readonly value: Raw } | Answer {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { value: value as Raw }
    }
  } catch {
    return problem(400, 'The body is not valid JSON.')
  }
  return problem(400, 'The body has to be a JSON object.')
}
