/**
 * The life of a plain request, from top to bottom:
 *
 *     decide (facts, route) -> auth -> admit -> balance and forward -> report
 *
 * Requests whose upgrade the route does not allow come this way too (RFC 9110 7.8).
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { authorize } from './auth/authorize.ts'
import type { Identity } from './auth/identity.ts'
import type { Endpoint } from './balance/endpoint.ts'
import type { PlainDecision, RefusedDecision } from './decide.ts'
import { Refusal, type Answer } from './errors.ts'
import { refusalAnswer } from './handshake/refuse.ts'
import type { ForwardEnd } from './http/exchange.ts'
import type { Forwarder } from './http/forward.ts'
import { brokeOff } from './listen/http1-side.ts'
import type { Report } from './report/report.ts'
import { outgoingFields, outgoingTarget } from './outgoing/outgoing.ts'
import { randomUUID } from 'node:crypto'

/** How long a refused client may go on sending its body before the connection is cut. */
const UNREAD_BODY_MS = 2000

/** What every plain request needs besides its decision. */
export interface PlainExchanges {
  readonly report: Report
  readonly forwarder: Forwarder
}

/** One request on its way; the later fields are filled as it gets on. */
interface Plain {
  readonly decision: PlainDecision
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly startMs: number
  identity: Identity | undefined
  /** The endpoint tried last. */
  endpoint: Endpoint | undefined
}

/** Never rejects. When it is fulfilled the client has its answer, or is gone. */
export async function servePlain(
  { report, forwarder }: PlainExchanges,
  decision: PlainDecision,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const plain: Plain = {
    decision,
    request,
    response,
    startMs: performance.now(),
    identity: undefined,
    endpoint: undefined,
  }
  let end: ForwardEnd | Refusal
  try {
    end = await forward(report, forwarder, plain)
  } catch (error) {
    end = Refusal.ofError(error)
  }
  if (end instanceof Refusal) {
    const refusal = brokeOff(response) ? new Refusal('E_BODY_MALFORMED') : end
    await respond(request, response, refusalAnswer(refusal, decision.facts.requestId))
    report.requestRefused({ ...summary(plain), refusal })
  } else {
    report.requestAnswered({
      ...summary(plain),
      ...end,
      endpoint: end.endpoint.url,
      cause: end.brokenOff?.cause,
    })
  }
}

/** auth -> admit -> balance and forward. */
async function forward(
  report: Report,
  forwarder: Forwarder,
  plain: Plain,
): Promise<ForwardEnd | Refusal> {
  const { facts, parts } = plain.decision
  const { config, policy, admission, pool } = parts
  const authorized = authorize(policy, facts, false)
  const { outcome: identity, tried } = authorized instanceof Promise ? await authorized : authorized
  report.authTried(config.name, tried)
  if (identity instanceof Refusal) return identity
  plain.identity = identity
  const rate = admission.admitRequest(facts.clientIp)
  const refused = rate instanceof Promise ? await rate : rate
  if (refused !== undefined) return refused
  const target = outgoingTarget(facts, config.rewrite, identity.hiddenQuery)
  if (target instanceof Refusal) return target
  const lost = { edits: config.headers.request, ownFields: policy.ownFields }
  return forwarder.forward({
    req: plain.request,
    res: plain.response,
    facts,
    target,
    fields: outgoingFields(facts, identity, lost),
    lost,
    responseEdits: config.headers.response,
    timeouts: config.timeouts,
    acquire: (failed) => pool.acquire(facts, failed),
    onAttempt: (endpoint) => {
      plain.endpoint = endpoint
    },
  })
}

/** Answers a request that no route takes, or that could not be understood. Never rejects. */
export async function serveRefused(
  { report }: PlainExchanges,
  decision: RefusedDecision,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { refusal, facts, parts, method, peerAddress } = decision
  const startMs = performance.now()
  const requestId = facts?.requestId ?? randomUUID()
  await respond(request, response, refusalAnswer(refusal, requestId))
  report.requestRefused({
    facts,
    requestId,
    clientIp: peerAddress,
    method,
    route: parts?.config,
    endpoint: undefined,
    user: undefined,
    durationMs: performance.now() - startMs,
    refusal,
  })
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if (response.destroyed || response.headersSent) {
    if (!Buffer.isBuffer(answer.body)) (answer.body as Readable).destroy()
    return
  }
  if (!request.complete) limitUnreadBody(request, response)
  response.writeHead(answer.status, answer.reason, [...answer.fields])
  const isBodyless = request.method === 'HEAD' || answer.status === 204 || answer.status === 304
  if (Buffer.isBuffer(answer.body)) response.end(isBodyless ? undefined : answer.body)
  else await pipeline(answer.body, response).catch(() => response.destroy())
}

/**
 * node reads the rest of a refused body and drops it, so that the client can send all of it and then read the answer.
 * That must end some time; and a client that waits for 100 Continue will never send it, so its connection must end too.
 */
function limitUnreadBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.expect !== undefined) {
    response.shouldKeepAlive = false
    return
  }
  const timer = setTimeout(() => request.socket.destroy(), UNREAD_BODY_MS)
  request.on('close', () => clearTimeout(timer))
}

/** What every report of this request says. */
function summary({ decision, identity, endpoint, startMs }: Plain) {
  return {
    facts: decision.facts,
    route: decision.parts.config,
    endpoint: endpoint?.url,
    user: identity?.user,
    durationMs: performance.now() - startMs,
  }
}
