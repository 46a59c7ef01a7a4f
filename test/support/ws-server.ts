/** A WebSocket server and a client of the `ws` package, for tests of what real programs see through the gateway. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer, type ClientOptions, type ServerOptions } from 'ws'

export interface WsServer extends AsyncDisposable {
  readonly port: number
  /** As an endpoint of the config. */
  readonly url: string
}

/** `onConnection` gets each WebSocket; without it the server echoes every message in its kind. */
export async function wsServer(
  options: ServerOptions = {},
  onConnection: (socket: WebSocket, request: IncomingMessage) => void = echo,
): Promise<WsServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options })
  server.on('connection', onConnection)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

/** A connected client; rejects when the handshake fails. */
export async function wsClient(
  url: string,
  protocols: readonly string[] = [],
  options: ClientOptions = {},
): Promise<WsClient> {
  const socket = new WebSocket(url, [...protocols], options)
  const client = new WsClient(socket)
  await once(socket, 'open')
  return client
}

export interface WsMessage {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** Keeps what arrives before anybody asks for it. */
export class WsClient implements AsyncDisposable {
  readonly socket: WebSocket
  readonly #closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #messages: WsMessage[] = []
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data, isBinary) => {
      this.#messages.push({ data: data as Buffer, isBinary })
      this.#wake?.()
    })
    this.#closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#isClosed = true
        this.#wake?.()
        resolve({ code, reason: reason.toString() })
      })
    })
  }

  /** The next message; rejects when the connection closes first. */
  async message(): Promise<WsMessage> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) return message
      if (this.#isClosed) throw new Error('the connection closed before a message came')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Code and reason as the program is told; 1006 when the connection ended without a close frame. */
  closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate()
    if (this.socket.readyState !== WebSocket.CLOSED) await this.#closed
  }
}
