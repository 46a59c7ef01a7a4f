/** An admin server over tunnels and endpoints that are not there, and calls to it that are held against its document. */

import http from 'node:http'
import { once } from 'node:events'
import { json } from 'node:stream/consumers'
import { Closings } from '../../src/admin/closings.ts'
import type { ApiParts } from '../../src/admin/parts.ts'
import { startAdmin, type Admin } from '../../src/admin/server.ts'
import { Pool } from '../../src/balance/pool.ts'
import type { AdminConfig, Config } from '../../src/config/config.ts'
import type { CloseFrame, OwnReason } from '../../src/relay/tunnel-policy.ts'
import type { TunnelReading } from '../../src/relay/tunnel-end.ts'
import type { AdminReport } from '../../src/report/reported.ts'
import { Rebalancer } from '../../src/tunnels/rebalance.ts'
import { Registry } from '../../src/tunnels/registry.ts'
import type { RunningTunnel } from '../../src/tunnels/tunnel.ts'
import { loadText } from '../config/load-text.ts'
import { assertDocumented } from '../support/openapi-answers.ts'
import { reading } from '../support/readings.ts'
import { tunnelPolicy } from '../support/tunnel-policy.ts'

export const LOOPBACK: AdminConfig = {
  address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  mode: undefined,
  owner: undefined,
  token: undefined,
  tls: undefined,
  hosts: [],
}

/** Two upstreams with two endpoints each. */
const YAML = `
upstreams:
  chat: { endpoints: [http://chat-1:3000, { url: http://chat-2:3000, weight: 2 }] }
  feed: { endpoints: [http://feed-1:3000, http://feed-2:3000], balance: hash }
routes:
  - { name: chat, match: { path: /chat }, upstream: chat, limits: { tunnels: 10 } }
  - { name: feed, upstream: feed, upgrade: any }
`

export interface FakeOptions {
  readonly id?: string
  readonly route?: string
  readonly upstream?: string
  /** Of the endpoints of its upstream. */
  readonly endpoint?: number
  readonly client?: string
  readonly user?: string
  readonly protocol?: string
  readonly ageMs?: number
  readonly reading?: Partial<TunnelReading>
  readonly isEnding?: boolean
}

export interface Told {
  readonly id: string
  readonly by: string
  readonly reason: OwnReason
  readonly frame: CloseFrame | undefined
}

/** The state that the API sees and changes. */
export class FakeGateway implements ApiParts {
  readonly tunnels = new Registry()
  readonly told: Told[] = []
  readonly actions: AdminReport[] = []
  readonly drained: string[] = []
  /** What went wrong inside. */
  readonly faults: string[] = []
  readonly #config: Config
  readonly #pools: ReadonlyMap<string, Pool>
  readonly closings = new Closings()
  readonly rebalancer = new Rebalancer(this.tunnels, { onStuck: () => {} })
  reload: ApiParts['reload'] = () => Promise.reject(new Error('no reload was expected'))

  constructor(yaml = YAML) {
    this.#config = loadText(yaml)
    const options = { builtinAddress: () => LOOPBACK.address, onChange: () => {} }
    this.#pools = new Map(
      [...this.#config.upstreams].map(([name, upstream]) => [name, new Pool(upstream, options)]),
    )
    this.rebalancer.reconfigure(this.#config.upstreams, this.#pools)
  }

  readonly report: ApiParts['report'] = {
    adminAction: (action) => {
      this.actions.push(action)
    },
    adminFailed: ({ method, path, cause }) => {
      this.faults.push(`${method} ${path} ${cause}`)
    },
    endpointDrained: (upstream, { url }, draining) => {
      this.drained.push(`${upstream} ${url} ${draining}`)
    },
  }

  config(): Config {
    return this.#config
  }

  describeConfig(): Readonly<Record<string, unknown>> {
    return { masked: true }
  }

  pools(): ReadonlyMap<string, Pool> {
    return this.#pools
  }

  /** It is open until the end: a fake has no peers that would close. */
  open(options: FakeOptions = {}): RunningTunnel {
    const { upstream = 'chat', endpoint: index = 0 } = options
    const pool = this.#pools.get(upstream)
    const endpoint = pool?.endpoints[index]
    if (endpoint === undefined) throw new Error(`${upstream} has no endpoint ${index}`)
    const id = options.id ?? `tunnel-${this.tunnels.size + 1}`
    const tunnel = {
      id,
      route: options.route ?? upstream,
      reported: {
        requestId: `request-of-${id}`,
        tunnelId: id,
        route: options.route ?? upstream,
        upstream,
        endpoint: endpoint.url,
        clientIp: options.client ?? '192.0.2.7',
        host: 'chat.example.com',
        path: '/chat',
        method: 'GET',
        protocol: options.protocol ?? 'websocket',
        user: options.user,
        status: 101,
        handshakeMs: 3,
      },
      parts: { pool },
      endpoint,
      policy: tunnelPolicy(),
      openedAtMs: Date.now() - (options.ageMs ?? 0),
      isEnding: options.isEnding ?? false,
      reading: reading(options.reading),
      tunnel: {
        read: () => tunnel.reading,
        get bytesUp() {
          return tunnel.reading.bytesUp
        },
        get bytesDown() {
          return tunnel.reading.bytesDown
        },
      },
      end: (by: string, reason: OwnReason, frame?: CloseFrame) => {
        tunnel.isEnding = true
        this.told.push({ id, by, reason, frame })
      },
    }
    const running = tunnel as unknown as RunningTunnel
    this.tunnels.add(running)
    return running
  }
}

export interface CallOptions {
  readonly headers?: http.OutgoingHttpHeaders
  /** Sent as JSON. */
  readonly body?: unknown
}

export interface Answered<Body = Record<string, unknown>> {
  readonly status: number
  readonly type: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: Body
}

export class FakeAdmin implements AsyncDisposable {
  readonly admin: Admin
  readonly gateway: FakeGateway

  constructor(admin: Admin, gateway: FakeGateway) {
    this.admin = admin
    this.gateway = gateway
  }

  get port(): number {
    const { address } = this.admin
    return address.kind === 'tcp' ? address.port : 0
  }

  /** The answer, which was found to be as the document says. */
  async call<Body = Record<string, unknown>>(
    method: string,
    target: string,
    options: CallOptions = {},
  ): Promise<Answered<Body>> {
    const answer = await callApi<Body>(this.admin.address, method, target, options)
    const [path = ''] = target.split('?')
    if (path.startsWith('/api/') || path === '/api' || path === '/reload') {
      if (answer.status !== 405) assertDocumented(method, path, answer)
    }
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gateway.rebalancer.close()
    this.gateway.closings.stop()
    await this.admin.close()
  }
}

/** One request over a connection of its own. Every answer of the API is JSON. */
export async function callApi<Body = Record<string, unknown>>(
  address: Admin['address'],
  method: string,
  target: string,
  { headers = {}, body }: CallOptions = {},
): Promise<Answered<Body>> {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const place =
    address.kind === 'unix'
      ? { socketPath: address.path }
      : { host: address.host, port: address.port }
  const request = http.request({
    ...place,
    path: target,
    method,
    agent: false,
    headers: {
      ...(payload === undefined
        ? {}
        : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }),
      ...headers,
    },
  })
  request.end(payload)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    headers: response.headers,
    body: (await json(response)) as Body,
  }
}

export async function fakeAdmin(
  changes: Partial<AdminConfig> = {},
  gateway: FakeGateway = new FakeGateway(),
): Promise<FakeAdmin> {
  const admin = await startAdmin(
    { ...LOOPBACK, ...changes },
    { metrics: async () => '', contentType: 'text/plain', isReady: () => true, api: gateway },
  )
  return new FakeAdmin(admin, gateway)
}
