/**
 * The life of a plain request, from top to bottom:
 *
 *     decide (facts, route) -> rate -> auth -> balance and forward -> report
 *
 * Requests whose upgrade the route does not allow come this way too (RFC 9110 7.8).
 */

import { randomUUID } from 'node:crypto'
import { authorize } from './auth/authorize.ts'
import type { Identity } from './auth/identity.ts'
import type { Endpoint } from './balance/endpoint.ts'
import type { PlainDecision, RefusedDecision } from './decide.ts'
import { Refusal } from './errors.ts'
import { giveRefusal } from './handshake/refuse.ts'
import type { ForwardEnd } from './http/exchange.ts'
import type { Forwarder } from './http/forward.ts'
import type { Client } from './http1/client.ts'
import type { Report } from './report/report.ts'
import { outgoingFields, outgoingTarget } from './outgoing/outgoing.ts'

/** What every plain request needs besides its decision. */
export interface PlainExchanges {
  readonly report: Report
  readonly forwarder: Forwarder
}

/** One request on its way; the later fields are filled as it gets on. */
interface Plain {
  readonly decision: PlainDecision
  readonly client: Client
  readonly startMs: number
  identity: Identity | undefined
  /** The endpoint tried last. */
  endpoint: Endpoint | undefined
}

/** When it is fulfilled the client has its answer, or is gone. */
export async function servePlain(
  { report, forwarder }: PlainExchanges,
  decision: PlainDecision,
  client: Client,
): Promise<void> {
  const plain: Plain = {
    decision,
    client,
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
    const refusal = giveRefusal(client, end, decision.facts.requestId)
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

/** rate -> auth -> balance and forward. */
async function forward(
  report: Report,
  forwarder: Forwarder,
  plain: Plain,
): Promise<ForwardEnd | Refusal> {
  const { facts, parts } = plain.decision
  const { config, policy, admission, pool } = parts
  const rate = admission.admitRequest(facts.clientIp)
  const tooFast = rate instanceof Promise ? await rate : rate
  if (tooFast !== undefined) return tooFast
  const authorized = authorize(policy, facts, false)
  const { outcome: identity, tried } = authorized instanceof Promise ? await authorized : authorized
  report.authTried(config.name, tried)
  if (identity instanceof Refusal) return identity
  plain.identity = identity
  const target = outgoingTarget(facts, config.rewrite, identity.hiddenQuery)
  if (target instanceof Refusal) return target
  const lost = { edits: config.headers.request, ownFields: policy.ownFields }
  return forwarder.forward({
    client: plain.client,
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

/** Answers a request that no route takes, or that could not be understood. */
export function serveRefused(
  { report }: PlainExchanges,
  decision: RefusedDecision,
  client: Client,
): void {
  const { facts, parts, method, peerAddress } = decision
  const startMs = performance.now()
  const requestId = facts?.requestId ?? randomUUID()
  const refusal = giveRefusal(client, decision.refusal, requestId)
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
