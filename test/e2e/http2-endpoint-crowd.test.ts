/** Many WebSockets over few connections to one endpoint, and what becomes of both at reloads and at the end. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { clientOf, listenerOf, type TestClient } from '../support/http-versions.ts'
import { http2Endpoint, type Http2Endpoint } from '../support/http2-server.ts'
import type { WsClient } from '../support/ws-server.ts'

const WEBSOCKETS = 300
/** What a connection of a client may have. */
const STREAMS = 100
const CONNECTIONS = WEBSOCKETS / STREAMS

interface Config {
  readonly route?: string
  readonly drain?: string
  readonly streams?: number
}

function configOf(
  { url }: Pick<Http2Endpoint, 'url'>,
  { route = '', drain = '100ms', streams = STREAMS }: Config = {},
): string {
  return `${listenerOf(false)}
shutdown: { drain: ${drain} }
upstreams: { app: { endpoints: [{ url: "${url}", http2: true }], http2Streams: ${streams} } }
routes: [{ name: app, upstream: app${route} }]`
}

class Crowd implements AsyncDisposable {
  readonly webSockets: WsClient[] = []
  readonly #clients: TestClient[] = []

  static async open(gateway: Pick<TestGateway, 'port'>, count = WEBSOCKETS): Promise<Crowd> {
    const crowd = new Crowd()
    for (let left = count; left > 0; left -= STREAMS) {
      const pair = { client: '2', endpoint: '2', isSecure: false } as const
      const client = await clientOf(gateway, pair)
      crowd.#clients.push(client)
      const length = Math.min(left, STREAMS)
      const opened = Array.from({ length }, () => client.webSocket('/'))
      crowd.webSockets.push(...(await Promise.all(opened)))
    }
    return crowd
  }

  /** Each sends a message of its own, and gets it back. */
  async talk(): Promise<void> {
    const talk = async ({ socket }: WsClient, who: number): Promise<void> => {
      socket.send(`this is ${who}`)
    }
    await Promise.all(this.webSockets.map(talk))
    for (const [who, webSocket] of this.webSockets.entries()) {
      assert.equal((await webSocket.message()).data.toString(), `this is ${who}`)
    }
  }

  /** The codes that they were closed with, each once. */
  async codes(): Promise<number[]> {
    const closed = await Promise.all(this.webSockets.map((webSocket) => webSocket.closed()))
    return [...new Set(closed.map(({ code }) => code))]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]()
  }
}

function connections(gateway: TestGateway): Promise<number> {
  return gateway.metric('upgate_upstream_http2_connections')
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

/** Waits until the endpoint has none that is open. */
async function parted({ sessions }: Http2Endpoint): Promise<void> {
  for (const session of sessions) {
    if (!session.destroyed) await new Promise((resolve) => session.once('close', resolve))
  }
}

describe('300 WebSockets to an endpoint with HTTP/2', () => {
  it('share three connections, also when they come at the same time', async () => {
    await using endpoint = await http2Endpoint()
    await using gateway = await startTestGateway(configOf(endpoint))
    await using crowd = await Crowd.open(gateway)
    await crowd.talk()
    assert.equal(endpoint.sessions.length, CONNECTIONS)
    assert.equal(await connections(gateway), CONNECTIONS)
    assert.equal(gateway.gateway.openTunnels, WEBSOCKETS)
  })

  it('have as many on each as the endpoint takes', async () => {
    const settings = { enableConnectProtocol: true, maxConcurrentStreams: 10 }
    await using endpoint = await http2Endpoint({ settings })
    await using gateway = await startTestGateway(configOf(endpoint))
    await using crowd = await Crowd.open(gateway, 50)
    await crowd.talk()
    assert.ok(endpoint.sessions.length >= 5 && endpoint.sessions.length <= 8)
  })

  it('stay on their connections in a reload that changes nothing for them', async () => {
    await using endpoint = await http2Endpoint()
    await using gateway = await startTestGateway(configOf(endpoint))
    await using crowd = await Crowd.open(gateway)
    const { ok, closing } = await gateway.reload(configOf(endpoint, { route: ', http: true' }))
    assert.deepEqual([ok, closing], [true, 0])
    await crowd.talk()
    await using more = await Crowd.open(gateway, 1)
    await more.talk()
    // One more needs a fourth.
    assert.equal(endpoint.sessions.length, CONNECTIONS + 1)
    assert.equal(endpoint.openSessions.length, CONNECTIONS + 1)
  })

  it('are closed with their endpoint by a reload, and their connections after them', async () => {
    await using endpoint = await http2Endpoint()
    await using other = await http2Endpoint()
    await using gateway = await startTestGateway(configOf(endpoint))
    await using crowd = await Crowd.open(gateway)
    const { closing } = await gateway.reload(configOf(other))
    assert.equal(closing, WEBSOCKETS)
    assert.deepEqual(await crowd.codes(), [1012])
    await parted(endpoint)
    assert.equal(await connections(gateway), 0)
  })

  it('stay without their endpoint where onReload is keep, until they end', async () => {
    await using endpoint = await http2Endpoint()
    await using other = await http2Endpoint()
    const config = { route: ', onReload: keep' }
    await using gateway = await startTestGateway(configOf(endpoint, config))
    await using crowd = await Crowd.open(gateway)
    const { closing } = await gateway.reload(configOf(other, config))
    assert.equal(closing, 0)
    await crowd.talk()
    await using more = await Crowd.open(gateway, 1)
    await more.talk()
    assert.deepEqual([endpoint.streams.length, other.streams.length], [WEBSOCKETS, 1])
    for (const { socket } of crowd.webSockets) socket.close(1000)
    assert.deepEqual(await crowd.codes(), [1000])
    await parted(endpoint)
    await more.talk()
  })

  it('leave nothing behind when their gateway stops', async () => {
    await using endpoint = await http2Endpoint()
    await using gateway = await startGatewayProcess(configOf(endpoint))
    await using crowd = await Crowd.open(gateway)
    gateway.program.child.kill('SIGTERM')
    assert.deepEqual(await crowd.codes(), [1001])
    // A timer or a connection would keep the process.
    assert.equal((await gateway.program.exited).code, 0)
    await parted(endpoint)
    assert.equal((await gateway.log('tunnel close', WEBSOCKETS)).length, WEBSOCKETS)
  })

  it('leave their connections to the next ones, and a gateway that stops does not wait for those', async () => {
    await using endpoint = await http2Endpoint()
    await using gateway = await startGatewayProcess(configOf(endpoint, { drain: '1h' }))
    for (let times = 0; times < 2; times += 1) {
      await using crowd = await Crowd.open(gateway, STREAMS)
      for (const { socket } of crowd.webSockets) socket.close(1000)
      assert.deepEqual(await crowd.codes(), [1000])
      await gateway.log('tunnel close', STREAMS * (times + 1))
    }
    assert.equal(endpoint.sessions.length, 1)
    gateway.program.child.kill('SIGTERM')
    assert.equal((await gateway.program.exited).code, 0)
    await parted(endpoint)
  })

  it('leave no connection and no timer in a process that goes on without their gateway', async () => {
    await using endpoint = await http2Endpoint()
    const before = timers()
    {
      await using gateway = await startTestGateway(configOf(endpoint))
      await using crowd = await Crowd.open(gateway, STREAMS)
      for (const { socket } of crowd.webSockets.slice(1)) socket.close(1000)
      const response = await fetch(`http://127.0.0.1:${gateway.port}/`)
      await response.arrayBuffer()
      await gateway.gateway.stop()
      await parted(endpoint)
    }
    assert.equal(timers(), before)
  })
})
