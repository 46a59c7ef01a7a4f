/** A listener whose clients the native relay accepts, with what it hands on. */

import assert from 'node:assert/strict'
import type { Arrival } from '../../src/listen/arrival.ts'
import { startListener, type Listener } from '../../src/listen/listener.ts'
import type { ListenerConfig } from '../../src/config/config.ts'
import type { HeldConnection } from '../../src/relay/acceptor.ts'
import type { Connection, RequestHead } from '../../src/request/facts.ts'
import type { Refusal } from '../../src/errors.ts'
import { startNative, type StartedNative } from '../relay/started-native.ts'

export interface Decision {
  readonly upgrades: boolean
  readonly head: RequestHead
  readonly connection: Connection
}

export type HeldArrival = Extract<Arrival, { readonly connection: HeldConnection }>

export interface Upgraded {
  readonly decision: Decision
  readonly arrival: Arrival
  /** Of a held client: fulfilled when its FIN is told, if that did not come with the handshake, or its reset. */
  readonly left: Promise<'fin' | 'reset'>
}

export interface TestListener extends AsyncDisposable {
  readonly started: StartedNative
  readonly listener: Listener
  readonly port: number
  /** Codes of what was refused without a decision. */
  readonly broken: readonly string[]
  /** Heads that were decided on, as often as that was. */
  readonly decided: readonly Decision[]
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
  connectionsMax: Infinity,
}

/** Upgrades all that asks for it, save at /no; answers every other request with its method, its target and its body. */
export async function startTestListener(
  config: Partial<ListenerConfig> = {},
): Promise<TestListener> {
  const started = startNative()
  const broken: string[] = []
  const decided: Decision[] = []
  const upgrades: Upgraded[] = []
  let wake: (() => void) | undefined
  const listener = await startListener<Decision>(
    { ...CONFIG, ...config },
    { highWaterMark: 65_536, acceptor: started.native },
    {
      decide: (head, connection) => {
        const isUpgrade = head.fields.some((name) => name.toLowerCase() === 'upgrade')
        decided.push({ upgrades: isUpgrade && head.target !== '/no', head, connection })
        return decided.at(-1) as Decision
      },
      upgrade: (decision, arrival) => {
        const { promise: left, resolve } = Promise.withResolvers<'fin' | 'reset'>()
        if ('connection' in arrival) {
          const unexpected = (): void => assert.fail('nobody has asked for more')
          arrival.connection.listener = {
            onText: unexpected,
            onLate: unexpected,
            onFin: () => resolve('fin'),
            onReset: () => resolve('reset'),
          }
        }
        upgrades.push({ decision, arrival, left })
        wake?.()
      },
      plain: (_decision, request, response) => {
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => {
          response.end(`${request.method} ${request.url} ${Buffer.concat(chunks).toString()}`)
        })
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
    decided,
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

/** The arrival of a client that is still held. */
export function held({ arrival }: Upgraded): HeldArrival {
  if (!('connection' in arrival)) throw new Error('the client is not held any more')
  return arrival
}
