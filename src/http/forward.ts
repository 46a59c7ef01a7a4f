/**
 * Forwards plain requests with http-proxy-3, which is known in this file alone. Its `web()` makes the request to the
 * endpoint and reports on it; what must be exact (fields, target, body, answer, errors, retries) is done around it.
 */

import { createProxyServer } from 'http-proxy-3'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Stream } from 'node:stream'
import { followed, type Endpoint } from '../balance/endpoint.ts'
import { Refusal, type Fields } from '../errors.ts'
import type { SharedConnections } from '../handshake/shared.ts'
import { fieldValue } from '../request/headers.ts'
import { Attempt, type Failure } from './attempt.ts'
import { EndpointAgent, kConnecting } from './endpoint-agent.ts'
import type { ForwardEnd, PlainExchange } from './exchange.ts'
import { withFraming, writableFields } from './field-list.ts'
import { nodeErrorCode } from './node-errors.ts'

/** Above what a response's head has when it is written anew, which bounds it: `A:` and LF become five bytes. */
const HEAD_BYTES_MAX = 131_072

/** Every endpoint looks like this to http-proxy-3: its agent knows where it really is. */
const TARGET = { protocol: 'http:', host: 'endpoint', hostname: 'endpoint', port: 80 }

/** Node adds no field of its own, and no field or chunk that breaks the grammar passes, whatever NODE_OPTIONS says. */
const STRICT = {
  setDefaultHeaders: false,
  insecureHTTPParser: false,
  maxHeaderSize: HEAD_BYTES_MAX,
}

/** Holds the idle connections to all endpoints. */
export class Forwarder {
  readonly #agents = new Map<Endpoint, EndpointAgent>()
  readonly #shared: SharedConnections
  readonly #proxy = createProxyServer({
    target: TARGET,
    selfHandleResponse: true,
    // The target is ours; this keeps http-proxy-3 from parsing the URL for one.
    prependPath: false,
    ignorePath: true,
    toProxy: true,
  })

  /** `shared`: to endpoints that speak HTTP/2. */
  constructor(shared: SharedConnections) {
    this.#shared = shared
    // With this variable http-proxy-3 would send everything through `fetch`, past the agents.
    delete process.env['FORCE_FETCH_PATH']
    this.#proxy.on('proxyReq', (request, message) => attemptOf(message).connected(request))
    this.#proxy.on('proxyRes', (answer, message) => attemptOf(message).answered(answer))
  }

  /**
   * Sends the request to one endpoint after the other, at most once each, until one answers, and relays the answer.
   * Never rejects for what a client or an upstream did. A Refusal means that nothing was sent to the client yet (but
   * perhaps 1xx): what `acquire` refuses first, E_CLIENT_GONE, those of `dial`, E_HANDSHAKE_TIMEOUT, E_HEAD_TIMEOUT
   * (its body stopped), E_BODY_MALFORMED, E_UPSTREAM_RESET, E_UPSTREAM_PROTOCOL, E_UPSTREAM_SWITCH, E_REQUEST_MALFORMED. Fulfilled when the
   * last byte is with the client and its body with the upstream, or when one of them broke off.
   *
   * A lease hears `failed` when the connection could not be made or broke before an answer. It does not when the answer
   * took too long: any client could set an endpoint aside with one slow request.
   */
  async forward(exchange: PlainExchange): Promise<ForwardEnd | Refusal> {
    const { client } = exchange
    const startMs = performance.now()
    const tried = new Set<Endpoint>()
    let failure: Failure | undefined
    for (;;) {
      if (client.gone) return new Refusal('E_CLIENT_GONE', { cause: client.goneBy })
      const picked = exchange.acquire(tried)
      if (picked instanceof Refusal) return failure?.refusal ?? picked
      using lease = picked
      const { endpoint } = lease
      tried.add(endpoint)
      exchange.onAttempt?.(endpoint)
      const fields = requestFields(exchange, endpoint)
      const attempt = new Attempt({ exchange, lease, startMs })
      let end = await this.#send(attempt, fields, this.#agentOf(endpoint))
      if ('again' in end && end.again === 'fresh' && !client.gone) {
        const fresh = new Attempt({ exchange, lease, startMs })
        end = await this.#send(fresh, fields, this.#newAgent(endpoint, false))
      }
      if (!('again' in end)) return end
      if (end.again === 'never') return end.refusal
      failure = end
    }
  }

  /**
   * The endpoints of a new config. Connections to places that are among them are used further; to others the idle ones are
   * closed now, and each other one when its exchange is over.
   */
  follow(endpoints: Iterable<Endpoint>): void {
    for (const agent of followed(this.#agents, endpoints)) agent.close()
  }

  /** Closes idle connections now, and each other one when its exchange is over. */
  close(): void {
    for (const agent of this.#agents.values()) agent.close()
    this.#agents.clear()
  }

  #agentOf(endpoint: Endpoint): EndpointAgent {
    // A connection that names one client is no other's.
    if (endpoint.proxyProtocol !== undefined) return this.#newAgent(endpoint, false)
    const known = this.#agents.get(endpoint)
    if (known !== undefined) return known
    // Requests that began under an older config may have asked for its endpoints again.
    for (const [other, { isUnused }] of this.#agents) if (isUnused) this.#agents.delete(other)
    // A stream of a shared connection is for one request.
    const agent = this.#newAgent(endpoint, endpoint.http2 === undefined)
    this.#agents.set(endpoint, agent)
    return agent
  }

  #newAgent(endpoint: Endpoint, keepAlive: boolean): EndpointAgent {
    return new EndpointAgent(endpoint, { keepAlive, shared: this.#shared })
  }

  #send(attempt: Attempt, fields: Fields, agent: EndpointAgent): Promise<ForwardEnd | Failure> {
    const message = new Message(attempt)
    try {
      this.#proxy.web(
        message as unknown as IncomingMessage,
        message as unknown as ServerResponse,
        { agent, ssl: requestOptions(attempt, fields), buffer: bodyOf(attempt) },
        (error) => attempt.broken(error),
      )
    } catch (error) {
      attempt.refuse(new Refusal('E_REQUEST_MALFORMED', { cause: nodeErrorCode(error) }))
    }
    return attempt.ended
  }
}

/** The fields with the framing of the client's body, and with the Host that HTTP/1.1 must have (RFC 9112 3.2). */
function requestFields({ fields, facts, client }: PlainExchange, endpoint: Endpoint): Fields {
  const isChunked = client.framing.kind === 'chunked'
  const length = isChunked ? undefined : fieldValue(facts.fields, 'content-length')
  const framed = withFraming(fields, isChunked ? 'chunked' : undefined, length)
  if (fieldValue(framed, 'host') === undefined) framed.unshift('Host', hostOf(endpoint))
  return writableFields(framed, isChunked)
}

function hostOf({ address }: Endpoint): string {
  if (address.kind === 'unix') return 'localhost'
  const { host, port } = address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * What http-proxy-3 gets for a request and its response. It would leave two listeners on the real ones at each attempt,
 * and rewrite their fields; who leaves and when is the attempt's to watch.
 */
class Message {
  readonly attempt: Attempt
  readonly method: string
  readonly url = ''
  readonly httpVersionMajor = 1
  readonly headers = {}
  readonly socket = { destroyed: false }

  constructor(attempt: Attempt) {
    this.attempt = attempt
    this.method = attempt.exchange.client.method
  }

  on(): this {
    return this
  }
}

function attemptOf(message: IncomingMessage): Attempt {
  return (message as unknown as Message).attempt
}

/**
 * The object that http-proxy-3 turns into the options of `http.request`. Its own `headers` (merged by name) and `path`
 * (normalised) are let go; a flat list makes node write the fields as they are, in their order, number and case.
 */
function requestOptions(attempt: Attempt, fields: Fields): object {
  const { target } = attempt.exchange
  return {
    ...STRICT,
    [kConnecting]: attempt,
    get headers() {
      return fields
    },
    set headers(_merged) {},
    get path() {
      return target
    },
    set path(_normalised) {},
  }
}

/** A body that is not read before its request has a connection. http-proxy-3 pipes it as soon as the request is made. */
function bodyOf(attempt: Attempt): Stream {
  return { pipe: (request: ClientRequest) => attempt.begin(request) } as unknown as Stream
}
