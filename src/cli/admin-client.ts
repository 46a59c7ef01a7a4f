/** Calls of the admin API by node's http, over TCP, TLS or a unix socket. */

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { isIPv6 } from 'node:net'
import { text } from 'node:stream/consumers'
import type { PeerCertificate } from 'node:tls'

import type { ProblemBody } from '../admin/problem.ts'
import { visible, visibleLines } from '../base/visible.ts'
import type { AdminTarget, AdminTls } from './admin-target.ts'
import { Failure, type FailureCode } from './failure.ts'

/** For a whole answer. A reload may ask servers of keys. */
const TIMEOUT_MS = 30_000

export type Query = Readonly<Record<string, string | undefined>>

export class AdminClient {
  readonly #target: AdminTarget

  constructor(target: AdminTarget) {
    this.#target = target
  }

  /** For messages. */
  get url(): string {
    return this.#target.url
  }

  /** What the API answers. Throws a Failure when it refuses, when nobody answers, and when what answers is no such API. */
  async call<Body>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    query: Query = {},
  ): Promise<Body> {
    const given = Object.entries(query).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    )
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
    const { status, body } = await this.#ask(method, `${path}${search}`)
    const parsed = parse(body)
    if (status < 300 && parsed !== undefined) return parsed as Body
    throw this.#refusal(status, parsed as Partial<ProblemBody> | undefined)
  }

  async #ask(method: string, path: string): Promise<{ status: number; body: string }> {
    const { address, tls, token } = this.#target
    const place =
      address.kind === 'unix'
        ? { socketPath: address.path }
        : { host: address.host, port: address.port }
    const options = {
      ...place,
      method,
      path,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        Host: address.kind === 'unix' ? 'localhost' : hostField(address.host, address.port),
        Accept: 'application/json',
        'Content-Length': 0,
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      },
    }
    try {
      const request =
        tls === undefined
          ? http.request(options)
          : https.request({ ...options, ...tlsOptions(tls) })
      request.end()
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      return { status: response.statusCode ?? 0, body: await text(response) }
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  #refusal(status: number, body: Partial<ProblemBody> | undefined): Failure {
    if (typeof body?.detail !== 'string') {
      return new Failure(
        3,
        `what answers at ${this.url} is no admin API of upgate (status ${status})`,
      )
    }
    const hint =
      status === 401 ? ' (the token comes from --token-file FILE or UPGATE_ADMIN_TOKEN)' : ''
    const isMisuse = status === 400
    const problems = (body.problems ?? []).map((one) => (isMisuse ? inOptions(one) : one))
    const detail = isMisuse ? inOptions(body.detail) : body.detail
    const first = isMisuse && problems.length > 0 ? 'not understood:' : visible(detail)
    const lines = problems.map((one) => `\n  ${visibleLines(one).replaceAll('\n', '\n  ')}`)
    const exitCode: FailureCode = isMisuse ? 2 : 1
    return new Failure(exitCode, `${first}${hint}${lines.join('')}`)
  }

  #unreachable(error: unknown): Failure {
    if (error instanceof Failure) return error
    return new Failure(
      3,
      `no gateway can be asked at ${this.url}: ${reasonOf(error as NodeJS.ErrnoException)}\nIs it running, and is that its admin.address? --admin URL names another one.`,
    )
  }
}

const reasons: ReadonlyMap<string | undefined, string> = new Map([
  ['ECONNREFUSED', 'nobody listens there'],
  ['ENOENT', 'there is no such socket'],
  ['EACCES', 'this user may not use the socket'],
  ['ENOTFOUND', 'the name is not known'],
  ['ECONNRESET', 'it does not speak HTTP; with admin.tls the URL begins with https://'],
  ['EPROTO', 'it does not speak TLS; without admin.tls the URL begins with http://'],
])

function reasonOf({ code, name, message }: NodeJS.ErrnoException): string {
  if (name === 'AbortError' || name === 'TimeoutError') return 'no answer in time'
  if (/certificate|altname|self-signed/i.test(message)) {
    return `its certificate is not trusted (${message}); name its authority with --ca FILE`
  }
  return reasons.get(code) ?? message
}

/** A pinned certificate is trusted for what it is, under whatever name it is called. */
function tlsOptions({ ca, pinned }: AdminTls): https.RequestOptions {
  if (pinned === undefined) return ca === undefined ? {} : { ca }
  const expected = new X509Certificate(pinned)
  return {
    ca: pinned,
    allowPartialTrustChain: true,
    checkServerIdentity: (_host: string, { raw }: PeerCertificate) =>
      expected.raw.equals(raw)
        ? undefined
        : new Error('the certificate is another one than that of the config file'),
  }
}

function hostField(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

function parse(body: string): unknown {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** `minAge: expected` is `--min-age: expected` on a command line. */
function inOptions(sentence: string): string {
  return sentence.replace(
    /^[a-z][A-Za-z]*(?=: )/,
    (name) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  )
}
