/**
 * The life of an upgrade, from top to bottom:
 *
 *     decide (facts, route) -> rate -> auth -> admit -> balance -> handshake -> relay -> report
 *
 * Each step returns what it found, or a Refusal. Only this file goes from one step to the next, tries the next endpoint,
 * answers the client, and tells `report` what happened.
 */

import { authorize } from './auth/authorize.ts'
import type { Identity } from './auth/identity.ts'
import type { Endpoint, EndpointLease } from './balance/endpoint.ts'
import type { UpgradeDecision } from './decide.ts'
import { catalogue, Refusal } from './errors.ts'
import { relayAnswer } from './handshake/answer.ts'
import { attempt } from './handshake/attempt.ts'
import type { Answered, Granted } from './handshake/answer-reader.ts'
import { prefaceFor } from './handshake/proxy-header.ts'
import { giveRefusal } from './handshake/refuse.ts'
import { upgradeRequestHead } from './handshake/request-head.ts'
import type { SharedConnections } from './handshake/shared.ts'
import { answerHead } from './http/answer-head.ts'
import type { Client } from './http1/client.ts'
import { serializeHead } from './http1/response-writer.ts'
import type { Dialer } from './relay/dialer.ts'
import type { Relay } from './relay/relay.ts'
import { websocketKey } from './request/facts.ts'
import { fieldValue } from './request/headers.ts'
import { giveBack, RunningTunnel, type Holdings, type TunnelParts } from './tunnels/tunnel.ts'
import { outgoingFields, outgoingTarget, switchingFields } from './outgoing/outgoing.ts'

/** What every exchange needs besides its decision. */
export interface Exchanges extends TunnelParts {
  readonly relay: Relay
  /** Where the relay's engine has one. */
  readonly dialer: Dialer | undefined
  /** To endpoints that speak HTTP/2. */
  readonly shared: SharedConnections
  /** Of the sockets of a tunnel, each way. */
  readonly bufferBytes: number
  /** True from the first signal on: no new tunnel begins. */
  readonly draining: boolean
  /** It is in the registry, under the parts that its request was decided with. */
  opened(tunnel: RunningTunnel): void
}

/** One upgrade on its way; the later fields are filled as it gets on. */
interface Upgrade extends Holdings {
  readonly decision: UpgradeDecision
  readonly client: Client
  readonly startMs: number
  readonly bufferBytes: number
  readonly dialer: Dialer | undefined
  readonly shared: SharedConnections
  identity: Identity | undefined
  /** The endpoint tried last. */
  endpoint: Endpoint | undefined
  /** The endpoint has answered by HTTP/2. */
  endpointHttp2: boolean
  /** The 101 is on its way: what comes now is no HTTP any more. */
  switched: boolean
}

/** Never rejects. When it is fulfilled the client belongs to a tunnel, or has its response, or is gone. */
export async function serveUpgrade(
  exchanges: Exchanges,
  decision: UpgradeDecision,
  client: Client,
): Promise<void> {
  const upgrade: Upgrade = {
    decision,
    client,
    startMs: performance.now(),
    bufferBytes: exchanges.bufferBytes,
    dialer: exchanges.dialer,
    shared: exchanges.shared,
    identity: undefined,
    endpoint: undefined,
    place: undefined,
    lease: undefined,
    endpointHttp2: false,
    switched: false,
  }
  // Clients of WebSocket never end their side alone; those of other protocols may, and wait for what comes.
  client.endMeansGone = isWebSocketAlone(decision.tokens)
  try {
    const offered = await reach(exchanges, upgrade)
    if (offered instanceof Refusal) refuse(exchanges, upgrade, offered)
    else if (offered.kind === 'answered') await passAnswer(exchanges, upgrade, offered)
    else {
      const mixed = mixedWithOthers(upgrade)
      if (mixed === undefined) openTunnel(exchanges, upgrade, offered)
      else {
        offered.upstream.socket.destroy()
        refuse(exchanges, upgrade, mixed)
      }
    }
  } catch (error) {
    refuse(exchanges, upgrade, Refusal.ofError(error))
  } finally {
    // What a tunnel has taken over is not among it.
    giveBack(upgrade)
  }
}

function isWebSocketAlone(tokens: readonly string[]): boolean {
  return tokens.length === 1 && tokens[0]?.toLowerCase() === 'websocket'
}

/**
 * A proxy that strips handshakes takes the connection for one of plain requests: what it sends behind one may be somebody
 * else's request, and must not become bytes of a tunnel.
 */
function mixedWithOthers({ client, decision }: Upgrade): Refusal | undefined {
  if (!decision.facts.stripped || !client.hasAhead) return undefined
  client.endConnection()
  const cause = 'a request behind a handshake whose Upgrade a proxy has removed'
  return new Refusal('E_REQUEST_MALFORMED', { cause })
}

/** rate -> auth -> admit -> balance and handshake. */
async function reach(
  exchanges: Exchanges,
  upgrade: Upgrade,
): Promise<Granted | Answered | Refusal> {
  const { facts, parts } = upgrade.decision
  if (exchanges.draining) return new Refusal('E_DRAINING', { retryAfterSeconds: 1 })
  const mixed = mixedWithOthers(upgrade)
  if (mixed !== undefined) return mixed
  const rate = parts.admission.admitHandshake(facts.clientIp)
  const tooFast = rate instanceof Promise ? await rate : rate
  if (tooFast !== undefined) return tooFast
  const authorized = authorize(parts.policy, facts, true)
  const { outcome: identity, tried } = authorized instanceof Promise ? await authorized : authorized
  exchanges.report.authTried(parts.config.name, tried)
  if (identity instanceof Refusal) return identity
  upgrade.identity = identity
  const place = parts.admission.admitTunnel(facts.clientIp)
  if (place instanceof Refusal) return place
  upgrade.place = place
  const target = outgoingTarget(facts, parts.config.rewrite, identity.hiddenQuery)
  if (target instanceof Refusal) return target
  return offerToEndpoints(upgrade, identity, target)
}

/** Offers the upgrade to one endpoint after the other, at most once each, until one answers. */
async function offerToEndpoints(
  upgrade: Upgrade,
  identity: Identity,
  target: string,
): Promise<Granted | Answered | Refusal> {
  const { client, decision } = upgrade
  const { facts, parts } = decision
  const failed = new Set<Endpoint>()
  let failure: Refusal | undefined
  for (;;) {
    const lease = parts.pool.acquire(facts, failed)
    if (lease instanceof Refusal) return failure ?? lease
    upgrade.endpoint = lease.endpoint
    const offered = await offerTo(upgrade, identity, target, lease.endpoint)
    if (!(offered instanceof Refusal)) {
      lease.succeeded()
      upgrade.lease = lease
      upgrade.endpointHttp2 = offered.isShared === true
      return offered
    }
    settleFailure(lease, offered)
    if (catalogue[offered.code].retry === 'never' || client.bodyBegun) return offered
    failure = offered
    failed.add(lease.endpoint)
  }
}

function offerTo(
  { client, decision, bufferBytes, dialer, shared }: Upgrade,
  identity: Identity,
  target: string,
  endpoint: Endpoint,
): Promise<Granted | Answered | Refusal> {
  const { facts, parts, tokens } = decision
  const { config, policy } = parts
  const fields = outgoingFields(facts, identity, {
    edits: config.headers.request,
    ownFields: policy.ownFields,
    defaultHost: hostOf(endpoint),
    tokens,
  })
  return attempt({
    client,
    endpoint,
    head: upgradeRequestHead(facts.method, target, fields, tokens),
    tokens,
    websocketKey: websocketKey(facts.fields),
    lost: { edits: config.headers.request, ownFields: policy.ownFields },
    connectTimeoutMs: config.timeouts.connectMs,
    bufferBytes,
    dialer,
    shared,
    handshakeTimeoutMs: config.timeouts.handshakeMs,
    bodyTimeoutMs: config.timeouts.bodyMs,
    // Whoever is gone has no socket any more.
    preface: client.gone ? undefined : prefaceFor(endpoint, facts, () => client.socket),
  })
}

/** For HTTP/1.0 clients that name no host. */
function hostOf({ address }: Endpoint): string {
  if (address.kind === 'unix') return 'localhost'
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

/** An endpoint that refuses or breaks off is set aside; one that answers nonsense is up. */
function settleFailure(lease: EndpointLease, { code }: Refusal): void {
  if (catalogue[code].retry === 'beforeBytes') lease.failed(code)
  if (code === 'E_HANDSHAKE_TIMEOUT') lease.timedOut(code)
  lease[Symbol.dispose]()
}

/** relay, and from then on the tunnel holds what was held for the handshake. */
function openTunnel(exchanges: Exchanges, upgrade: Upgrade, granted: Granted): void {
  const { relay, report } = exchanges
  const { client, decision, identity } = upgrade
  const { parts } = decision
  const { config } = parts
  const fields = switchingFields(granted.head.fields, config.headers.response)
  const marker = identity?.markerSubprotocol
  if (marker !== undefined && fieldValue(fields, 'sec-websocket-protocol') === undefined) {
    fields.push('Sec-WebSocket-Protocol', marker)
  }
  upgrade.switched = true
  const { protocol } = granted
  const policy = protocol === 'websocket' ? parts.webSocketPolicy : parts.bytesPolicy
  const head = serializeHead({ ...granted.head, fields })
  const running = new RunningTunnel(exchanges)
  const tunnel = relay(client.release(), granted.upstream, { head, policy, listener: running })
  running.hold(upgrade)
  const handshakeMs = performance.now() - upgrade.startMs
  const reported = report.tunnelOpened({ ...summary(upgrade), protocol, handshakeMs })
  running.open({
    tunnel,
    reported,
    policy,
    parts,
    endpoint: upgrade.endpoint as Endpoint,
    grants: identity?.grants ?? [],
    origin: fieldValue(decision.facts.fields, 'origin'),
  })
  exchanges.opened(running)
}

/** An answer other than 101 is the upstream's to give: it goes to the client whole. */
async function passAnswer(
  exchanges: Exchanges,
  upgrade: Upgrade,
  { head, upstream }: Answered,
): Promise<void> {
  const { client, decision } = upgrade
  const { config } = decision.parts
  if (decision.facts.http2?.connects === true && head.status < 300) {
    upstream.socket.destroy()
    // It would be the 200 that says yes to a CONNECT (RFC 8441 5).
    const cause = `an answer of ${head.status} in place of 101`
    return refuse(exchanges, upgrade, new Refusal('E_UPSTREAM_SWITCH', { cause }))
  }
  const { method, httpVersion } = client
  const answer = answerHead(method, httpVersion, head, config.headers.response)
  if (answer instanceof Refusal) {
    upstream.socket.destroy()
    return refuse(exchanges, upgrade, answer)
  }
  const handshakeMs = performance.now() - upgrade.startMs
  const lost = { edits: config.headers.response }
  const end = await relayAnswer(client, upstream, { ...answer, lost }, config.timeouts.idleMs)
  exchanges.report.handshakeAnswered({
    ...summary(upgrade),
    status: head.status,
    handshakeMs,
    ...end,
  })
}

function refuse(exchanges: Exchanges, upgrade: Upgrade, refusal: Refusal): void {
  const { client, decision } = upgrade
  if (upgrade.switched) client.destroy()
  const given = upgrade.switched ? refusal : giveRefusal(client, refusal, decision.facts.requestId)
  exchanges.report.handshakeRefused({ ...summary(upgrade), refusal: given })
}

/** What every report of this upgrade says. */
function summary({ decision, identity, endpoint, endpointHttp2, startMs }: Upgrade) {
  return {
    facts: decision.facts,
    route: decision.parts.config,
    endpoint: endpoint?.url,
    endpointHttp2,
    user: identity?.user,
    durationMs: performance.now() - startMs,
  }
}
