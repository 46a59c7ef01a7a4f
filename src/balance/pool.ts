/**
 * The endpoints of one upstream, how much each is used and how it does. `acquire` gives out a place on one of them;
 * the lease says when the place is free again and how the endpoint did.
 */

import { createHash } from 'node:crypto'
import type {
  Address,
  BalanceConfig,
  EndpointConfig,
  HashKey,
  UpstreamConfig,
} from '../config/config.ts'
import { Refusal, type Code } from '../errors.ts'
import type { RequestFacts } from '../request/facts.ts'
import { cookieValue, fieldValue } from '../request/headers.ts'
import type {
  Endpoint,
  EndpointHttp2,
  EndpointLease,
  EndpointTls,
  TlsHandshakes,
} from './endpoint.ts'
import { Health } from './health.ts'
import { LocalAddresses } from './local-addresses.ts'
import { hashText, pickFor } from './pick.ts'
import type { Candidate, Pick } from './pick.ts'
import { UpstreamTls } from './upstream-tls.ts'

export interface PoolOptions {
  /** Where a `builtin:` endpoint listens. */
  readonly builtinAddress: (name: 'echo') => Address
  /** Called once at each change of an endpoint's `up`. */
  readonly onChange: (endpoint: Endpoint, up: boolean) => void
  /** A monotonic clock in milliseconds. Default: `performance.now`. */
  readonly now?: () => number
  /** Numbers in [0, 1). Default: `Math.random`. */
  readonly random?: () => number
}

/** One upstream. It holds no timer and no socket, so that it needs no closing. */
export class Pool {
  /** In the order of the config. */
  readonly endpoints: readonly Endpoint[]
  readonly name: string
  /** The same in another config means the same upstream. */
  readonly identity: string
  readonly #members: readonly Member[]
  /** Where there are https endpoints. */
  readonly #tls: UpstreamTls | undefined
  readonly #local: LocalAddresses | undefined
  readonly #pick: Pick
  readonly #hashKey: HashKey | undefined
  readonly #whenAllDown: 'try' | 'refuse'
  readonly #now: () => number
  readonly #random: () => number

  /**
   * Reads the files of the upstream's `tls`. Throws when one cannot be read or is wrong. Endpoints that `previous`, the
   * same upstream, has under the same URL keep their count, their health and whether they are draining, and
   * their TLS sessions where TLS has not changed; leases of either pool then count for both. The same addresses of ours
   * go on in turn.
   */
  constructor(config: UpstreamConfig, options: PoolOptions, previous?: Pool) {
    this.name = config.name
    this.identity = config.identity
    this.#now = options.now ?? monotonicMs
    this.#random = options.random ?? Math.random
    this.#pick = pickFor(config.balance.policy)
    this.#hashKey = hashKeyOf(config.balance)
    this.#whenAllDown = config.health.whenAllDown
    const isSecure = config.endpoints.some(({ tls }) => tls)
    const tlsBefore = previous === undefined ? undefined : previous.#tls
    this.#tls = isSecure ? UpstreamTls.read(config.tls, tlsBefore) : undefined
    const members = previous === undefined ? [] : previous.#members
    const known = new Map(members.map((member) => [member.id, member]))
    const shared = { health: config.health, onChange: options.onChange, now: this.#now }
    const ids = endpointIds(config)
    this.#local = LocalAddresses.of(
      config.localAddress,
      previous === undefined ? undefined : previous.#local,
    )
    this.#members = config.endpoints.map((endpoint, index) => {
      const id = ids[index] as string
      const before = known.get(id)
      const state = before?.state ?? new MemberState()
      const address =
        endpoint.address.kind === 'builtin'
          ? options.builtinAddress(endpoint.address.name)
          : endpoint.address
      const tls = endpoint.tls
        ? this.#tls?.endpoint(
            config.tls.serverName ?? hostOf(address),
            state.tlsHandshakes,
            before?.tls,
          )
        : undefined
      const proxyProtocol = config.proxyProtocol === 'off' ? undefined : config.proxyProtocol
      const local = this.#local
      const http2 = endpoint.http2 ? http2For(config.http2Streams, before?.http2) : undefined
      return new Member({
        id,
        config: endpoint,
        address,
        tls,
        http2,
        local,
        proxyProtocol,
        state,
        shared,
      })
    })
    this.endpoints = this.#members
  }

  /**
   * A place on the endpoint that the policy picks among those that are healthy, not draining and not in `tried`. Refusal:
   * E_ENDPOINT_NONE, with Retry-After for when the first one is tried again. When none is up, the one whose turn comes
   * next is tried anyway, unless `whenAllDown` says otherwise: its own failure tells the client more than ours.
   */
  acquire(facts: RequestFacts, tried: ReadonlySet<Endpoint>): EndpointLease | Refusal {
    const candidates = this.#candidates(tried)
    if (!isFilled(candidates)) {
      const next = this.#nextAnyway(tried)
      return next === undefined ? this.#none(tried) : new MemberLease(next)
    }
    const member =
      candidates.length === 1
        ? candidates[0]
        : this.#pick(candidates, this.#keyOf(facts), this.#random)
    return new MemberLease(member)
  }

  /** It gets nothing from now on; what it has it keeps. False when there is no such endpoint, or it is draining already. */
  drain(id: string): boolean {
    return this.#setDraining(id, true)
  }

  /** It gets its share again. False when there is no such endpoint, or it was not draining. */
  enable(id: string): boolean {
    return this.#setDraining(id, false)
  }

  #setDraining(id: string, draining: boolean): boolean {
    const member = this.#members.find((one) => one.id === id)
    if (member === undefined || member.state.draining === draining) return false
    member.state.draining = draining
    return true
  }

  #candidates(tried: ReadonlySet<Endpoint>): readonly Member[] {
    if (tried.size === 0 && this.#members.every(isReady)) return this.#members
    const nowMs = this.#now()
    return this.#members.filter(
      (member) => !tried.has(member) && !member.state.draining && member.state.health.allows(nowMs),
    )
  }

  /** Of endpoints that are all set aside the one that is allowed first: each failure puts it behind the others. */
  #nextAnyway(tried: ReadonlySet<Endpoint>): Member | undefined {
    const others = this.#members.filter(({ state }) => !state.draining)
    if (this.#whenAllDown === 'refuse' || others.some(({ up }) => up)) return undefined
    const nowMs = this.#now()
    let next: Member | undefined
    for (const member of others) {
      const isSooner =
        next === undefined || member.state.health.waitMs(nowMs) < next.state.health.waitMs(nowMs)
      if (isSooner && !tried.has(member)) next = member
    }
    return next
  }

  /** Those that a bare connect may bring back. */
  unreachable(): readonly Endpoint[] {
    return this.#members.filter(({ state }) => state.isUnreachable && !state.health.up)
  }

  /**
   * A bare connect to one of `unreachable` is about to be made. Call what is returned when it succeeds: the endpoint is back, unless
   * it has failed once more in the meantime.
   */
  probe(endpoint: Endpoint): () => void {
    const member = this.#members.find((one) => one === endpoint)
    const epoch = member?.state.health.epoch
    return () => {
      if (member !== undefined && member.state.health.epoch === epoch) recovered(member)
    }
  }

  #none(tried: ReadonlySet<Endpoint>): Refusal {
    const nowMs = this.#now()
    const others = this.#members.filter(({ state }) => !state.draining)
    const waitsMs = others.map(({ state }) => state.health.waitMs(nowMs))
    const waitMs = others.length === 0 ? DRAINING_RETRY_MS : Math.min(...waitsMs)
    const { length } = this.#members
    return new Refusal('E_ENDPOINT_NONE', {
      cause: `of ${length} endpoints ${tried.size} were tried and ${length - others.length} are draining, the others are set aside`,
      retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
    })
  }

  /** What `hash` goes by. Without the header or cookie, or with an empty one, it is the client's address: a fixed key would send all such clients to one endpoint. */
  #keyOf(facts: RequestFacts): string {
    const key = this.#hashKey
    if (key === undefined) return ''
    let value: string | undefined
    if (key.by === 'path') value = facts.path
    if (key.by === 'header') value = fieldValue(facts.fields, key.name)
    if (key.by === 'cookie') value = cookieValue(facts.fields, key.name)
    return value === undefined || value === '' ? facts.clientIp : value
  }
}

/** Nobody knows when an operator is done: soon enough for a restart, and rare enough for a crowd. */
const DRAINING_RETRY_MS = 5000

/** What of an endpoint goes on when the config around it changes. */
class MemberState {
  inUse = 0
  /** Answers so far, of any request. */
  answers = 0
  turn = 0
  draining = false
  /** Upgrades in a row that were not answered in time. */
  late = 0
  /** The last failure was that nobody accepts connections. */
  isUnreachable = false
  readonly health = new Health()
  readonly tlsHandshakes: TlsHandshakes = { full: 0, resumed: 0 }
}

interface Shared {
  readonly health: UpstreamConfig['health']
  readonly onChange: (endpoint: Endpoint, up: boolean) => void
  readonly now: () => number
}

interface MemberOptions {
  readonly id: string
  readonly config: EndpointConfig
  readonly address: Address
  readonly tls: EndpointTls | undefined
  readonly http2: EndpointHttp2 | undefined
  readonly local: LocalAddresses | undefined
  readonly proxyProtocol: 'v1' | 'v2' | undefined
  readonly state: MemberState
  readonly shared: Shared
}

class Member implements Endpoint, Candidate {
  readonly id: string
  readonly url: string
  readonly address: Address
  readonly tls: EndpointTls | undefined
  readonly http2: EndpointHttp2 | undefined
  readonly local: LocalAddresses | undefined
  readonly proxyProtocol: 'v1' | 'v2' | undefined
  readonly weight: number
  readonly seed: number
  readonly state: MemberState
  readonly shared: Shared

  constructor(options: MemberOptions) {
    const { id, config, address, tls, http2, local, proxyProtocol, state, shared } = options
    this.id = id
    this.url = config.url
    this.address = address
    this.tls = tls
    this.http2 = http2
    this.local = address.kind === 'tcp' ? local : undefined
    this.proxyProtocol = proxyProtocol
    this.weight = config.weight
    this.seed = hashText(config.url)
    this.state = state
    this.shared = shared
  }

  get inUse(): number {
    return this.state.inUse
  }

  get up(): boolean {
    return this.state.health.up
  }

  get draining(): boolean {
    return this.state.draining
  }

  get turn(): number {
    return this.state.turn
  }

  set turn(value: number) {
    this.state.turn = value
  }
}

/** Upgrades in a row that are late before the endpoint is set aside: one slow application is no dead endpoint. */
const LATE_MAX = 3

/** What a bare connect can tell the end of. */
const UNREACHABLE: ReadonlySet<Code> = new Set(['E_UPSTREAM_REFUSED', 'E_UPSTREAM_UNREACHABLE'])

function recovered(member: Member): void {
  const { state, shared } = member
  state.late = 0
  if (state.health.succeeded()) shared.onChange(member, true)
}

class MemberLease implements EndpointLease {
  readonly endpoint: Member
  readonly #epoch: number
  readonly #answersBefore: number
  #isTrial: boolean
  #isHeld = true

  constructor(member: Member) {
    const { state } = member
    this.endpoint = member
    this.#epoch = state.health.epoch
    this.#answersBefore = state.answers
    this.#isTrial = state.health.begin()
    state.inUse += 1
  }

  succeeded(): void {
    if (!this.#isHeld) return
    this.#isTrial = false
    const { state } = this.endpoint
    state.answers += 1
    recovered(this.endpoint)
  }

  failed(code: Code): void {
    if (!this.#isHeld) return
    this.#endTrial()
    const { state, shared } = this.endpoint
    state.isUnreachable = UNREACHABLE.has(code)
    const wentDown = state.health.failed(this.#epoch, shared.now(), shared.health)
    if (wentDown) shared.onChange(this.endpoint, false)
  }

  timedOut(code: Code): void {
    const { state } = this.endpoint
    if (state.answers !== this.#answersBefore) return
    state.late += 1
    // A trial that is late leaves it set aside.
    if (this.#isTrial || state.late >= LATE_MAX) this.failed(code)
  }

  [Symbol.dispose](): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.endpoint.state.inUse -= 1
    this.#endTrial()
  }

  #endTrial(): void {
    if (!this.#isTrial) return
    this.#isTrial = false
    this.endpoint.state.health.endTrial()
  }
}

/** In the order of the config; a URL that is listed again gets -2, -3, ... */
function endpointIds({ identity, endpoints }: UpstreamConfig): readonly string[] {
  const times = new Map<string, number>()
  return endpoints.map(({ url }) => {
    const hash = createHash('sha256').update(`${identity}\n${url}`).digest('hex').slice(0, 10)
    const time = (times.get(hash) ?? 0) + 1
    times.set(hash, time)
    return time === 1 ? hash : `${hash}-${time}`
  })
}

/** `previous` where nothing changes. */
function http2For(streamsMax: number, previous?: EndpointHttp2): EndpointHttp2 {
  return previous?.streamsMax === streamsMax ? previous : { streamsMax, connections: 0 }
}

function isReady({ state }: Member): boolean {
  return state.health.up && !state.draining
}

function isFilled(members: readonly Member[]): members is readonly [Member, ...Member[]] {
  return members.length > 0
}

function monotonicMs(): number {
  return performance.now()
}

function hashKeyOf(balance: BalanceConfig): HashKey | undefined {
  return balance.policy === 'hash' ? balance.key : undefined
}

/** The name for the certificate of an endpoint whose config names none. */
function hostOf(address: Address): string {
  return address.kind === 'tcp' ? address.host : 'localhost'
}
