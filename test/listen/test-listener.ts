/** A listener whose clients the native relay accepts, with what it hands on. */

import type { Client } from '../../src/http1/client.ts'
import { startListener, type Listener } from '../../src/listen/listener.ts'
import type { ListenerConfig } from '../../src/config/config.ts'
import type { HeldConnection } from '../../src/relay/acceptor.ts'
import type { Connection, RequestHead } from '../../src/request/facts.ts'
import type { Refusal } from '../../src/errors.ts'
import { startNative, type StartedNative } from '../relay/started-native.ts'
import { sendText } from '../support/send-text.ts'

export interface Request {
  readonly head: RequestHead
  readonly connection: Connection
}

export interface Upgraded extends Request {
  readonly client: Client
  /** Fulfilled when the client leaves. */
  readonly left: Promise<'eof' | 'reset'>
}

export interface TestListener extends AsyncDisposable {
  readonly started: StartedNative
  readonly listener: Listener
  readonly port: number
  /** Codes of what was refused before there was a request. */
  readonly broken: readonly string[]
  readonly requests: readonly Request[]
  /** The next upgrade, past or to come. */
  upgraded(): Promise<Upgraded>
}

export const CONFIG: ListenerConfig = {
  address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  backlog: 1024,
  reusePort: false,
  ipv6Only: false,
  mode: undefined,
  owner: undefined,
  tls: undefined,
  h2c: false,
  redirect: undefined,
  proxyProtocol: 'off',
  headTimeoutMs: 60_000,
  headBytesMax: 16_384,
  keepAliveTimeoutMs: 60_000,
  halfClose: false,
  connectionsMax: Infinity,
}

/** Leaves all that asks for an upgrade to the test, save at /no; answers every other request with its method, its target and its body. */
export async function startTestListener(
  config: Partial<ListenerConfig> = {},
): Promise<TestListener> {
  const started = startNative()
  const broken: string[] = []
  const requests: Request[] = []
  const upgrades: Upgraded[] = []
  let wake: (() => void) | undefined
  const listener = await startListener(
    { ...CONFIG, ...config },
    { highWaterMark: 65_536, acceptor: started.native },
    {
      request: (head, connection, client) => {
        requests.push({ head, connection })
        const isUpgrade = head.fields.some((name) => name.toLowerCase() === 'upgrade')
        if (!isUpgrade || head.target === '/no') {
          void sendText(client, (body) => `${head.method} ${head.target} ${body}`)
          return
        }
        const { promise: left, resolve } = Promise.withResolvers<'eof' | 'reset'>()
        client.onGone = () => resolve(client.goneBy)
        upgrades.push({ head, connection, client, left })
        wake?.()
      },
      servesWebSocket: () => true,
      trusts: () => false,
      trustedBlocks: () => new Uint8Array(),
      broken: (refusal: Refusal) => {
        broken.push(refusal.code)
        return `HTTP/1.1 400 ${refusal.code}\r\nConnection: close\r\n\r\n`
      },
    },
  ).catch((error: unknown) => {
    started.stop()
    throw error
  })
  return {
    started,
    listener,
    port: listener.address.kind === 'tcp' ? listener.address.port : 0,
    broken,
    requests,
    async upgraded() {
      while (upgrades.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return upgrades.shift() as Upgraded
    },
    [Symbol.asyncDispose]() {
      listener.destroy()
      started.stop()
      return Promise.resolve()
    },
  }
}

/** The connection of a client that is still held. */
export function held({ client }: Upgraded): HeldConnection {
  if (client.held === undefined) throw new Error('the client is not held any more')
  return client.held
}
