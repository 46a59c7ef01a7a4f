import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import { startTestGateway } from '../support/gateway.ts'

interface SocketIoServer extends AsyncDisposable {
  readonly url: string
  /** Sessions so far. */
  readonly sessions: number
}

/** Echoes the argument of `echo` in its acknowledgement. */
async function socketIoServer(): Promise<SocketIoServer> {
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

/** A client with an address of its own that has connected by polling and then upgraded. */
async function upgradedClient(port: number, localAddress: string): Promise<SocketIoClient> {
  const agent = new http.Agent({ keepAlive: true, localAddress })
  const socket = io(`http://127.0.0.1:${port}`, {
    // Its types know the browser's options alone.
    agent: agent as unknown as boolean,
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

class SocketIoClient implements AsyncDisposable {
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

describe('Socket.IO through the gateway', () => {
  it('polls first and then upgrades, on one route', async () => {
    await using server = await socketIoServer()
    await using gateway = await startTestGateway(
      `routes: [{ name: io, upstream: "${server.url}" }]`,
    )
    {
      await using client = await upgradedClient(gateway.port, '127.0.0.1')
      assert.deepEqual(client.transports, ['polling', 'websocket'])
      assert.equal(await client.socket.emitWithAck('echo', 'über den Tunnel'), 'über den Tunnel')
      const bytes = Buffer.from([0, 1, 255])
      assert.deepEqual(await client.socket.emitWithAck('echo', bytes), bytes)
    }
    const polled = await gateway.log('request', { method: 'GET', route: 'io', status: 200 })
    assert.equal(polled['path'], '/socket.io/')
    const close = await gateway.log('tunnel close', { route: 'io' })
    assert.equal(close['protocol'], 'websocket')
    assert.equal(server.sessions, 1)
  })

  it('keeps each client on the server that has its session, with balance: hash', async () => {
    await using a = await socketIoServer()
    await using b = await socketIoServer()
    await using gateway = await startTestGateway(
      `upstreams: { io: { endpoints: ["${a.url}", "${b.url}"], balance: hash } }\nroutes: [{ upstream: io }]`,
    )
    const clients = 24
    for (let index = 0; index < clients; index += 1) {
      await using client = await upgradedClient(gateway.port, `127.0.0.${10 + index}`)
      assert.deepEqual(client.transports, ['polling', 'websocket'])
      assert.equal(await client.socket.emitWithAck('echo', index), index)
    }
    assert.equal(a.sessions + b.sessions, clients)
    assert.ok(a.sessions > 0 && b.sessions > 0, `${a.sessions} and ${b.sessions} sessions`)
    const failed = gateway.logs.filter((line) => line.msg === 'request' && line['status'] !== 200)
    assert.deepEqual(failed, [])
  })
})
