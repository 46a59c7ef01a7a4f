import assert from 'node:assert/strict'
import { constants } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { describe, it, mock, type TestContext } from 'node:test'
import tls from 'node:tls'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import type { Dialing } from '../../src/handshake/dial.ts'
import { EndpointConnections } from '../../src/http2/endpoint-connections.ts'
import { EndpointStream } from '../../src/http2/endpoint-stream.ts'
import type { RelaySocket } from '../../src/relay/relay.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { frameEndpoint, requestOn, setting, wholeAnswer } from '../support/frame-endpoint.ts'
import { ACK, frame, GOAWAY, SETTINGS, uint32, type FramePeer } from '../support/http2-frames.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { settled } from '../support/settled.ts'
import { GET } from './harness.ts'

const MAX_CONCURRENT_STREAMS = 3
const fixtures = join(import.meta.dirname, '../fixtures/tls')

function streams(max: number): Buffer {
  return setting(MAX_CONCURRENT_STREAMS, max)
}

function endpointAt(port: number, streamsMax = 100, secure?: Endpoint['tls']): Endpoint {
  return {
    id: 'u',
    url: 'u',
    weight: 1,
    inUse: 0,
    up: true,
    draining: false,
    address: { kind: 'tcp', host: '127.0.0.1', port },
    tls: secure,
    http2: { streamsMax, connections: 0 },
  }
}

/** The connections to one endpoint, cut at the end of the block. */
class Opener implements AsyncDisposable {
  readonly endpoint: Endpoint
  readonly connections: EndpointConnections
  readonly #opened: RelaySocket[] = []

  constructor(endpoint: Endpoint) {
    assert.ok(endpoint.http2)
    this.endpoint = endpoint
    this.connections = new EndpointConnections(endpoint, endpoint.http2)
  }

  /** Connections that are open, as /metrics has it. */
  get count(): number {
    return this.endpoint.http2?.connections ?? -1
  }

  ask(connectTimeoutMs = 20_000): Dialing & { readonly done: Promise<RelaySocket | Refusal> } {
    const { promise, resolve } = Promise.withResolvers<RelaySocket | Refusal>()
    const dialing = this.connections.open({ connectTimeoutMs }, (result) => {
      if (!(result instanceof Refusal)) this.#opened.push(result.on('error', () => {}))
      resolve(result)
    })
    return { cancel: () => dialing.cancel(), done: promise }
  }

  async stream(connectTimeoutMs?: number): Promise<EndpointStream> {
    const result = await this.ask(connectTimeoutMs).done
    assert.ok(result instanceof EndpointStream, result instanceof Refusal ? text(result) : 'alone')
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#opened.filter((one) => !one.closed).map(over)
    for (const one of this.#opened) one.destroy()
    this.connections.destroy()
    await Promise.all(closed)
    while (!this.connections.isUnused) await nextTurn()
  }
}

function text({ code, details }: Refusal): string {
  return `${code}: ${details.cause}`
}

async function refused(result: Promise<unknown>, what: RegExp): Promise<void> {
  const refusal = await result
  assert.ok(refusal instanceof Refusal, 'is refused')
  assert.match(text(refusal), what)
}

async function listening<S extends Server>(server: S): Promise<S & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  })
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function ownTimers(context: TestContext): (ms: number) => void {
  mock.timers.enable({ apis: ['setTimeout'] })
  context.after(() => mock.timers.reset())
  return (ms) => mock.timers.tick(ms)
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Fulfilled when it is closed, with or without an error. */
function over(stream: RelaySocket): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', () => resolve())
  })
}

function cut(stream: RelaySocket): Promise<unknown> {
  const isOver = over(stream)
  stream.destroy()
  return isOver
}

/** Waits until the connection's SETTINGS were read. */
async function settings(peer: FramePeer): Promise<void> {
  await peer.find(({ type, flags }) => type === SETTINGS && flags === ACK)
}

describe('EndpointConnections', () => {
  it('share one connection as long as it has room', async () => {
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port))
    assert.equal(opener.connections.isUnused, true)
    const waiting = Array.from({ length: 100 }, () => opener.stream())
    assert.equal(opener.connections.isUnused, false)
    await Promise.all(waiting)
    assert.equal(endpoint.peers.length, 1)
    assert.equal(opener.count, 1)
  })

  it('grow with who waits, by what the endpoint takes of streams', async () => {
    await using endpoint = await frameEndpoint(streams(2))
    await using opener = new Opener(endpointAt(endpoint.port))
    const all = await Promise.all(Array.from({ length: 5 }, () => opener.stream()))
    assert.equal(endpoint.peers.length, 3)
    assert.equal(opener.count, 3)
    // The sixth has its place already.
    await opener.stream()
    assert.equal(endpoint.peers.length, 3)
    assert.equal(all.length, 5)
  })

  it('grow with who waits, by what the config gives to each', async () => {
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port, 3))
    await Promise.all(Array.from({ length: 10 }, () => opener.stream()))
    assert.equal(endpoint.peers.length, 4)
  })

  it('fill the first connection before the next', async () => {
    await using endpoint = await frameEndpoint(streams(2))
    await using opener = new Opener(endpointAt(endpoint.port))
    const all = await Promise.all(Array.from({ length: 4 }, () => opener.stream()))
    await Promise.all(all.map(cut))
    const [first, second] = endpoint.peers as [FramePeer, FramePeer]
    for (let round = 0; round < 2; round += 1) {
      const stream = await opener.stream()
      stream.write(GET, 'latin1')
      await requestOn(first, round)
    }
    const third = await opener.stream()
    third.write(GET, 'latin1')
    await requestOn(second)
    assert.equal(endpoint.peers.length, 2)
  })

  it('give who waits the room of SETTINGS that come later, or of a stream that ends', async () => {
    await using endpoint = await frameEndpoint(streams(1))
    await using opener = new Opener(endpointAt(endpoint.port))
    const first = await opener.stream()
    const peer = await endpoint.next()
    // The endpoint accepts no further connection until it is asked to.
    const more = [opener.ask(), opener.ask(), opener.ask()]
    peer.write(frame(SETTINGS, 0, 0, streams(3)))
    await cut(first)
    const opened = await Promise.all(more.map(({ done }) => done))
    assert.ok(opened.every((one) => one instanceof EndpointStream))
  })

  it('open no stream beyond SETTINGS that were lowered', async () => {
    await using endpoint = await frameEndpoint(streams(10))
    await using opener = new Opener(endpointAt(endpoint.port))
    const first = await opener.stream()
    first.write(GET, 'latin1')
    const peer = await endpoint.next()
    peer.write(frame(SETTINGS, 0, 0, streams(1)))
    await peer.count(({ type, flags }) => type === SETTINGS && flags === ACK, 2)
    const second = await opener.stream()
    second.write(GET, 'latin1')
    await requestOn(await endpoint.next())
    assert.equal(peer.frames.filter(({ type }) => type === 1).length, 1)
  })

  it('dial once for an endpoint that takes no streams, however many wait', async (context) => {
    const tick = ownTimers(context)
    await using endpoint = await frameEndpoint(streams(0))
    await using opener = new Opener(endpointAt(endpoint.port))
    const waiting = Array.from({ length: 10 }, () => opener.ask(5000).done)
    await settings(await endpoint.next())
    assert.equal(endpoint.peers.length, 1)
    assert.equal(opener.count, 0)
    tick(5000)
    for (const one of waiting) await refused(one, /^E_CONNECT_TIMEOUT/)
    assert.equal(endpoint.peers.length, 1)
  })

  it('go on with streams behind GOAWAY, and send new requests over another connection', async () => {
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port))
    const first = await opener.stream()
    first.write(GET, 'latin1')
    const peer = await endpoint.next()
    const { stream: id } = await requestOn(peer)
    peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(id), uint32(0)])))
    peer.write(frame(SETTINGS, 0, 0))
    await peer.count(({ type, flags }) => type === SETTINGS && flags === ACK, 2)
    const second = await opener.stream()
    second.write(GET, 'latin1')
    const other = await endpoint.next()
    await requestOn(other)
    peer.write(wholeAnswer(id, [[':status', '204']]))
    const [head] = (await once(first, 'data')) as [Buffer]
    assert.match(String(head), /^HTTP\/1\.1 204/)
    first.end()
    await peer.closed
    assert.equal(await settled(() => opener.count), 1)
  })

  it('dial anew when the connection was lost', async () => {
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port))
    const all = await Promise.all(Array.from({ length: 50 }, () => opener.stream()))
    const peer = await endpoint.next()
    const broken = all.map((stream) => {
      stream.write(GET, 'latin1')
      return over(stream)
    })
    await requestOn(peer, 49)
    peer.socket.resetAndDestroy()
    await Promise.all(broken)
    assert.ok(all.every(({ errored }) => (errored as NodeJS.ErrnoException).code === 'ECONNRESET'))
    await opener.stream()
    assert.equal(endpoint.peers.length, 2)
    assert.equal(opener.count, 1)
  })

  it('tell all who wait why there is no connection', async () => {
    const server = await listening(createServer())
    const port = portOf(server)
    await server[Symbol.asyncDispose]()
    await using opener = new Opener(endpointAt(port))
    const waiting = Array.from({ length: 250 }, () => opener.ask().done)
    for (const one of waiting) await refused(one, /^E_UPSTREAM_REFUSED/)
    assert.equal(opener.connections.isUnused, true)
  })

  it('say that an endpoint speaks HTTP/1.1', async () => {
    await using server = await listening(
      createServer((socket) => {
        socket.on('error', () => {}).resume()
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      }),
    )
    await using opener = new Opener(endpointAt(portOf(server)))
    await refused(opener.ask().done, /^E_UPSTREAM_PROTOCOL: no answer in HTTP\/2 with prior/)
    assert.equal(opener.count, 0)
  })

  it('say that an endpoint closes without a word', async () => {
    await using server = await listening(createServer((socket) => socket.destroy()))
    await using opener = new Opener(endpointAt(portOf(server)))
    await refused(opener.ask().done, /^E_UPSTREAM_RESET: no SETTINGS came/)
  })

  it('never answer before they have returned', async () => {
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port))
    await opener.stream()
    let isAnswered = false
    const done = Promise.withResolvers<void>()
    opener.connections.open({ connectTimeoutMs: 1000 }, (result) => {
      isAnswered = true
      if (!(result instanceof Refusal)) result.destroy()
      done.resolve()
    })
    assert.equal(isAnswered, false)
    await done.promise
  })
})

describe('who waits for a connection', () => {
  it('waits for its own time, and takes nobody along', async (context) => {
    const tick = ownTimers(context)
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const early = opener.ask(5000).done
    const first = await endpoint.next()
    await first.find(({ type }) => type === SETTINGS)
    tick(3000)
    const late = opener.stream(5000)
    tick(2000)
    await refused(early, /^E_CONNECT_TIMEOUT: not connected after 5000 ms/)
    // The hung one is given up, and the late one gets another.
    await first.closed
    const second = await endpoint.next()
    second.write(frame(SETTINGS, 0, 0))
    await late
    assert.equal(opener.count, 1)
  })

  it('waits no longer where a hung connection outlasts it', async (context) => {
    const tick = ownTimers(context)
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const patient = opener.ask(60_000)
    await endpoint.next()
    const hasty = opener.ask(1000).done
    tick(1000)
    await refused(hasty, /^E_CONNECT_TIMEOUT: not connected after 1000 ms/)
    patient.cancel()
    await refused(patient.done, /^E_CLIENT_GONE/)
  })

  it('waits for ever where there is no limit', async (context) => {
    const tick = ownTimers(context)
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const waiting = opener.stream(Infinity)
    const peer = await endpoint.next()
    tick(2 ** 40)
    peer.write(frame(SETTINGS, 0, 0))
    await waiting
    assert.equal(endpoint.peers.length, 1)
  })

  it('leaves nothing behind when it goes', async () => {
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const gone = [opener.ask(), opener.ask()]
    const peer = await endpoint.next()
    for (const one of gone) one.cancel()
    for (const { done } of gone) await refused(done, /^E_CLIENT_GONE/)
    await peer.closed
    assert.equal(opener.connections.isUnused, true)
    assert.equal(opener.count, 0)
    for (const one of gone) one.cancel()
  })

  it('takes nobody along that comes as it goes', async () => {
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const gone = opener.ask()
    const first = await endpoint.next()
    await first.find(({ type }) => type === SETTINGS)
    gone.cancel()
    const late = opener.stream()
    const second = await endpoint.next()
    second.write(frame(SETTINGS, 0, 0))
    await late
  })

  it('gets the next free stream, and the connection that it began serves others', async () => {
    await using endpoint = await frameEndpoint(streams(1))
    await using opener = new Opener(endpointAt(endpoint.port))
    const first = await opener.stream()
    const waiting = opener.stream()
    // Its dial is begun, and far from done.
    await Promise.resolve()
    await cut(first)
    await waiting
    assert.equal(await settled(() => opener.count), 2)
    await opener.stream()
    assert.equal(endpoint.peers.length, 2)
  })

  it('gets one also when the connections are to be closed, which are then gone', async () => {
    await using endpoint = await frameEndpoint('silent')
    await using opener = new Opener(endpointAt(endpoint.port))
    const waiting = opener.stream()
    const peer = await endpoint.next()
    await peer.find(({ type }) => type === SETTINGS)
    opener.connections.close()
    peer.write(frame(SETTINGS, 0, 0))
    const stream = await waiting
    stream.write(GET, 'latin1')
    const { stream: id } = await requestOn(peer)
    peer.write(wholeAnswer(id, [[':status', '204']]))
    await once(stream, 'data')
    stream.end()
    await peer.closed
    assert.equal(await settled(() => opener.count), 0)
    assert.equal(opener.connections.isUnused, true)
  })

  it('is refused when all is cut', async () => {
    await using endpoint = await frameEndpoint('silent')
    const opener = new Opener(endpointAt(endpoint.port))
    const waiting = opener.ask().done
    const peer = await endpoint.next()
    await opener[Symbol.asyncDispose]()
    await refused(waiting, /^E_CLIENT_GONE/)
    await peer.closed
  })

  it('leaves no timer behind', async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    await using endpoint = await frameEndpoint()
    await using opener = new Opener(endpointAt(endpoint.port))
    await Promise.all(Array.from({ length: 150 }, () => opener.stream()))
    assert.equal(timers(), before)
    const [first, second] = endpoint.peers as [FramePeer, FramePeer]
    opener.connections.destroy()
    await Promise.all([first.closed, second.closed])
    assert.equal(timers(), before)
  })
})

describe('ALPN', () => {
  async function secure(): Promise<{ ca: string; cert: string; key: string }> {
    const [ca = '', cert = '', key = ''] = await Promise.all(
      ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFile(join(fixtures, name), 'utf8')),
    )
    return { ca, cert, key }
  }

  it('that chooses h2 makes connections that all share', async () => {
    const { ca, cert, key } = await secure()
    await using endpoint = await http2Endpoint({ tls: { cert, key } })
    const port = Number(new URL(endpoint.url).port)
    const tlsOf = endpointTls({ serverName: 'localhost', ca })
    await using opener = new Opener(endpointAt(port, 100, tlsOf))
    const all = await Promise.all([opener.stream(), opener.stream()])
    all[0].write(GET, 'latin1')
    await once(all[0], 'data')
    assert.equal(endpoint.streams[0]?.headers[':scheme'], 'https')
    assert.equal(endpoint.sessions.length, 1)
  })

  it('that chooses HTTP/1.1, or nothing, gives each request a connection of its own', async () => {
    const { ca, cert, key } = await secure()
    for (const ALPNProtocols of [['http/1.1'], undefined]) {
      let connections = 0
      let together = 1
      const held: (() => void)[] = []
      const SNICallback = (_name: string, done: (error: null) => void): void => {
        held.push(() => done(null))
        if (held.length >= together) for (const go of held.splice(0)) go()
      }
      // Who resumes a session has no name to be looked at.
      const secureOptions = constants.SSL_OP_NO_TICKET
      const alpn = ALPNProtocols === undefined ? {} : { ALPNProtocols }
      const options = { cert, key, SNICallback, secureOptions, ...alpn }
      const server = tls.createServer(options)
      server.on('secureConnection', (socket) => {
        connections += 1
        socket.on('error', () => {})
        socket.end('bye')
      })
      await using listener = await listening(server)
      const tlsOf = endpointTls({ serverName: 'localhost', ca })
      await using opener = new Opener(endpointAt(portOf(listener), 100, tlsOf))
      // Once it is known that they need one each, all five are dialed at once.
      for (const atOnce of [1, 5]) {
        together = atOnce
        const all = await Promise.all(Array.from({ length: 5 }, () => opener.ask().done))
        for (const one of all) {
          assert.ok(one instanceof tls.TLSSocket)
          assert.deepEqual(await once(one, 'data'), [Buffer.from('bye')])
        }
      }
      assert.equal(connections, 10)
      assert.equal(opener.count, 0)
      assert.equal(opener.connections.isUnused, true)
    }
  })

  it('that has neither is E_UPSTREAM_TLS', async () => {
    const { ca, cert, key } = await secure()
    const server = tls.createServer({ cert, key, ALPNProtocols: ['spdy/3'] })
    server.on('tlsClientError', () => {})
    await using listener = await listening(server)
    const tlsOf = endpointTls({ serverName: 'localhost', ca })
    await using opener = new Opener(endpointAt(portOf(listener), 100, tlsOf))
    await refused(opener.ask().done, /^E_UPSTREAM_TLS/)
  })
})
