/** The pages beside the API: metrics, health, and what there is. */

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { targetOf } from './api.ts'
import type { Guard } from './guard.ts'
import { isProblem, type Answer } from './problem.ts'

export interface PageParts {
  /** The body of /metrics; a rejection is answered with 500. */
  metrics(): Promise<string>
  /** Of that body. */
  readonly contentType: string
  /** False from the moment on in which no new requests should come. */
  isReady(): boolean
}

export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: OutgoingHttpHeaders
}

const TEXT = 'text/plain; charset=utf-8'

const KNOWN = [
  'GET /metrics   Prometheus metrics',
  'GET /healthz   200 while the process lives',
  'GET /readyz    200 while requests are welcome, else 503',
  'GET /api       the calls of the API',
]

/** Everything but the API. */
export function pageFor(
  request: IncomingMessage,
  guard: Guard,
  parts: PageParts,
): Page | Promise<Page> {
  const { method } = request
  const { path } = targetOf(request)
  const isProbe = path === '/healthz' || path === '/readyz'
  const refusal = isProbe ? undefined : guard.refusePage(request)
  if (refusal !== undefined) return jsonPage(refusal)
  if (!isProbe && path !== '/metrics') {
    return text(404, `There is no such page here, but:\n${KNOWN.join('\n')}\n`)
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...text(405, 'Only GET and HEAD.\n'), headers: { Allow: 'GET, HEAD' } }
  }
  if (path === '/metrics') return metricsPage(parts)
  if (path === '/healthz' || parts.isReady()) return text(200, 'ok\n')
  return text(503, 'The gateway is shutting down.\n')
}

/** What the API answers. */
export function jsonPage(answer: Answer): Page {
  return {
    status: answer.status,
    type: isProblem(answer) ? 'application/problem+json' : 'application/json',
    body: `${JSON.stringify(answer.body)}\n`,
    headers: { ...answer.headers },
  }
}

async function metricsPage(parts: PageParts): Promise<Page> {
  try {
    return { status: 200, type: parts.contentType, body: await parts.metrics() }
  } catch {
    return text(500, 'The metrics could not be read.\n')
  }
}

function text(status: number, body: string): Page {
  return { status, type: TEXT, body }
}
