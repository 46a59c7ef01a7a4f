/** Socket.IO: a server that echoes, and clients that poll first and then upgrade. */

import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'

export interface SocketIoServer extends AsyncDisposable {
  readonly url: string
  /** Sessions so far. */
  readonly sessions: number
}

/** Echoes the argument of `echo` in its acknowledgement. */
export async function socketIoServer(): Promise<SocketIoServer> {
  const httpServer = http.createServer()
  const server = new Server(httpServer)
  let sessions = 0
  server.on('connection', (socket) => {
    sessions += 1
    socket.on('echo', (value: unknown, acknowledge: (value: unknown) => void) => acknowledge(value))
  })
  httpServer.listen(0, '127.0.0.1')
  await once(httpServer, 'listening')
  const { port } = httpServer.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    get sessions() {
      return sessions
    },
    async [Symbol.asyncDispose]() {
      await server.close()
    },
  }
}

export class SocketIoClient implements AsyncDisposable {
  readonly socket: Socket
  /** Names of the transports it has used, in order. */
  readonly transports: string[] = []
  readonly #agent: http.Agent

  constructor(socket: Socket, agent: http.Agent) {
    this.socket = socket
    this.#agent = agent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.socket.io.engine.on('close', resolve))
    this.socket.disconnect()
    await closed
    this.#agent.destroy()
  }
}

interface ClientOptions {
  /** An address of its own. */
  readonly localAddress?: string
  readonly extraHeaders?: Record<string, string>
}

/** A client that has connected by polling and then upgraded. */
export async function upgradedClient(
  port: number,
  { localAddress = '127.0.0.1', extraHeaders = {} }: ClientOptions = {},
): Promise<SocketIoClient> {
  const agent = new http.Agent({ keepAlive: true, localAddress })
  const socket = io(`http://127.0.0.1:${port}`, {
    // Its types know the browser's options alone.
    agent: agent as unknown as boolean,
    extraHeaders,
    forceNew: true,
    reconnection: false,
  })
  const client = new SocketIoClient(socket, agent)
  const { engine } = socket.io
  client.transports.push(engine.transport.name)
  const upgraded = new Promise<void>((resolve, reject) => {
    engine.on('upgrade', ({ name }) => {
      client.transports.push(name)
      resolve()
    })
    engine.on('upgradeError', reject)
  })
  const connected = new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve)
    socket.on('connect_error', reject)
  })
  await Promise.all([upgraded, connected])
  return client
}
