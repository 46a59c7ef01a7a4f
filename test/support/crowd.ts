/** WebSocket clients that come back when their connection closes, and servers that say how many they have. */

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { wsServer, type WsServer } from './ws-server.ts'

export interface SeenClosing {
  readonly code: number
  readonly reason: string
  /** Milliseconds since 1970. */
  readonly atMs: number
}

export interface CrowdOptions {
  /** Milliseconds after which a client comes back; undefined for never. */
  readonly backAfterMs?: number
}

export class Crowd implements AsyncDisposable {
  /** In the order in which clients saw them. */
  readonly closings: SeenClosing[] = []
  readonly #url: string
  readonly #backAfterMs: number | undefined
  readonly #open = new Set<WebSocket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #isDisposed = false

  private constructor(url: string, { backAfterMs }: CrowdOptions) {
    this.#url = url
    this.#backAfterMs = backAfterMs
  }

  /** Fulfilled when all `count` clients are connected. */
  static async open(url: string, count: number, options: CrowdOptions = {}): Promise<Crowd> {
    const crowd = new Crowd(url, options)
    // One after the other: the gateway picks an endpoint by what is open, and not by what is on its way.
    for (let index = 0; index < count; index += 1) await once(crowd.#connect(), 'open')
    return crowd
  }

  /** Clients that are connected, or about to be. */
  get size(): number {
    return this.#open.size
  }

  /** Fulfilled when every client has seen its connection close; not for clients that come back. */
  async gone(): Promise<void> {
    for (const socket of this.#open) await new Promise((resolve) => socket.once('close', resolve))
  }

  #connect(): WebSocket {
    const socket = new WebSocket(this.#url)
    this.#open.add(socket)
    // What fails closes as well, with 1006.
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      this.#open.delete(socket)
      if (this.#isDisposed) return
      this.closings.push({ code, reason: reason.toString(), atMs: Date.now() })
      if (this.#backAfterMs === undefined) return
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.#connect()
      }, this.#backAfterMs)
      this.#timers.add(timer)
    })
    return socket
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#open) socket.terminate()
    await this.gone()
  }
}

/** A server that knows how many clients it has. */
export interface CountingServer extends WsServer {
  readonly open: number
}

/** Several of them; `until` waits for numbers of theirs. */
export class CountingServers implements AsyncDisposable {
  readonly #servers: CountingServer[] = []
  readonly #waiting = new Set<() => void>()

  static async start(count: number): Promise<CountingServers> {
    const servers = new CountingServers()
    for (let index = 0; index < count; index += 1) await servers.#start()
    return servers
  }

  async #start(): Promise<void> {
    let open = 0
    const change = (by: number): void => {
      open += by
      for (const look of this.#waiting) look()
    }
    const server = await wsServer({}, (socket) => {
      change(1)
      socket.on('close', () => change(-1))
    })
    this.#servers.push(Object.defineProperty(server, 'open', { get: () => open }) as CountingServer)
  }

  get urls(): string[] {
    return this.#servers.map(({ url }) => url)
  }

  get open(): number[] {
    return this.#servers.map(({ open }) => open)
  }

  /** Fulfilled as soon as `isSo` is true of how many each of them has. */
  async until(isSo: (open: readonly number[]) => boolean): Promise<void> {
    if (isSo(this.open)) return
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isSo(this.open)) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server[Symbol.asyncDispose]()
  }
}
