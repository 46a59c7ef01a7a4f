/** A local HTTP server that answers as a test scripts it, or raw bytes where HTTP itself is to be broken. */

import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from 'node:net'

export interface HttpFixture extends AsyncDisposable {
  readonly url: string
  readonly server: Server
  /** Requests so far. */
  readonly requests: readonly IncomingMessage[]
  /** Connections so far. */
  readonly connections: readonly Socket[]
}

export async function httpFixture(listener: RequestListener): Promise<HttpFixture> {
  const requests: IncomingMessage[] = []
  const connections: Socket[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    listener(request, response)
  })
  server.on('connection', (socket) => connections.push(socket))
  const port = await listen(server)
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    requests,
    connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await close(server)
    },
  }
}

export interface RawFixture extends AsyncDisposable {
  readonly url: string
  readonly connections: readonly Socket[]
}

/** `onRequest` is called for each piece of each connection's input; `turn` counts the connections from 0. */
export async function rawFixture(
  onRequest: (socket: Socket, turn: number) => void,
): Promise<RawFixture> {
  const connections: Socket[] = []
  const server = createTcpServer((socket) => {
    const turn = connections.push(socket) - 1
    socket.on('error', () => undefined)
    socket.on('data', () => onRequest(socket, turn))
  })
  const port = await listen(server)
  return {
    url: `http://127.0.0.1:${port}`,
    connections,
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy()
      await close(server)
    },
  }
}

/** A port that nobody listens on. */
export async function closedUrl(): Promise<string> {
  const server = createTcpServer()
  const port = await listen(server)
  await close(server)
  return `http://127.0.0.1:${port}`
}

async function listen(server: TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function close(server: TcpServer): Promise<void> {
  await new Promise<void>((resolve) => server.close(() => resolve()))
}
