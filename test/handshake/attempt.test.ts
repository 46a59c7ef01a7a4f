import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import { attempt } from '../../src/handshake/attempt.ts'
import type { Client } from '../../src/http1/client.ts'
import type { SharedConnections, SharedSocket } from '../../src/handshake/shared.ts'
import type { RelaySocket } from '../../src/relay/relay.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import { socketPair } from '../support/socket-pair.ts'
import { FakeConnection, FakeDialer, fakeEndpoint, heldClient, socketClient } from './fakes.ts'

/** Nobody listens there. */
const NOWHERE = fakeEndpoint({ kind: 'unix', path: '/no-such-folder/app.sock' })

function begin(client: Client, endpoint: Endpoint, dialer: FakeDialer | undefined) {
  return attempt({
    client,
    endpoint,
    head: 'GET / HTTP/1.1\r\n\r\n',
    tokens: ['tcp'],
    websocketKey: undefined,
    lost: { edits: { set: [], remove: [] } },
    connectTimeoutMs: 5000,
    handshakeTimeoutMs: 5000,
    bodyTimeoutMs: 5000,
    dialer,
    shared: new Http2Connections(),
  })
}

async function rawClient(
  fields: readonly string[] = [],
): Promise<AsyncDisposable & { client: Client }> {
  const pair = await socketPair()
  const client = socketClient(pair.socket, fields)
  return { client, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() }
}

function refused(outcome: unknown, code: string): void {
  assert.ok(outcome instanceof Refusal)
  assert.equal(outcome.code, code)
}

describe('an attempt', () => {
  it("is dialed for a client with a socket as well, which is none of the dialer's business", async () => {
    await using raw = await rawClient()
    const dialer = new FakeDialer()
    const outcome = begin(raw.client, NOWHERE, dialer)
    const dial = await dialer.next()
    assert.equal(dial.request.client, undefined)
    dial.onFailed('connect', 'ECONNREFUSED', false)
    refused(await outcome, 'E_UPSTREAM_REFUSED')
  })

  it("goes over a socket of node's where the engine has no dialer", async () => {
    await using connection = await FakeConnection.create()
    refused(await begin(heldClient(connection), NOWHERE, undefined), 'E_UPSTREAM_REFUSED')
    assert.deepEqual(connection.calls, [])
  })

  it("goes over a socket of node's to an endpoint with TLS", async () => {
    await using connection = await FakeConnection.create()
    const dialer = new FakeDialer()
    const endpoint = { ...NOWHERE, tls: endpointTls({ serverName: 'localhost' }) }
    refused(await begin(heldClient(connection), endpoint, dialer), 'E_UPSTREAM_REFUSED')
    assert.equal(dialer.dials.length, 0)
  })

  it("goes over a socket of node's for a request with a body", async () => {
    await using raw = await rawClient(['Content-Length', '4'])
    const dialer = new FakeDialer()
    refused(await begin(raw.client, NOWHERE, dialer), 'E_UPSTREAM_REFUSED')
    assert.equal(dialer.dials.length, 0)
  })

  it('is over before the connection stands when its client is gone', async () => {
    await using connection = await FakeConnection.create()
    const client = heldClient(connection)
    const outcome = begin(client, NOWHERE, undefined)
    connection.listener?.onReset()
    refused(await outcome, 'E_CLIENT_GONE')
    refused(await begin(client, NOWHERE, undefined), 'E_CLIENT_GONE')
  })
})

/** A shared stream: what is written to it, and the answer that a test gives. */
class FakeStream extends Duplex implements SharedSocket {
  readonly takesWebSocket: boolean
  isUnprocessed = false
  sent = ''

  constructor(takesWebSocket = true) {
    super()
    this.takesWebSocket = takesWebSocket
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent += chunk.toString('latin1')
    done()
  }

  override _read(): void {}

  setKeepAlive(): this {
    return this
  }

  resetAndDestroy(): this {
    return this.destroy()
  }

  /** The endpoint has not looked at it. */
  refuse(): void {
    this.isUnprocessed = true
    this.destroy(Object.assign(new Error('refused'), { code: 'ERR_HTTP2_UNPROCESSED' }))
  }
}

/** Gives out what a test says, the next one first. */
class FakeShared implements SharedConnections {
  readonly results: (RelaySocket | Refusal)[]
  opened = 0
  cancelled = 0
  onOpen: (() => void) | undefined

  constructor(...results: (RelaySocket | Refusal)[]) {
    this.results = results
  }

  open(
    _endpoint: Endpoint,
    _options: unknown,
    onDone: (opened: RelaySocket | Refusal) => void,
  ): { cancel: () => void } {
    this.opened += 1
    const result = this.results.shift()
    if (result !== undefined) queueMicrotask(() => onDone(result))
    this.onOpen?.()
    return {
      cancel: () => {
        this.cancelled += 1
        onDone(new Refusal('E_CLIENT_GONE'))
      },
    }
  }
}

const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'

function beginShared(
  client: Client,
  shared: SharedConnections,
  more: { readonly tokens?: readonly string[]; readonly dialer?: FakeDialer } = {},
) {
  return attempt({
    client,
    endpoint: { ...NOWHERE, http2: { streamsMax: 1, connections: 0 } },
    head: 'GET / HTTP/1.1\r\n\r\n',
    tokens: more.tokens ?? ['WebSocket'],
    websocketKey: 'dGhlIHNhbXBsZSBub25jZQ==',
    lost: { edits: { set: [], remove: [] } },
    connectTimeoutMs: 5000,
    handshakeTimeoutMs: 5000,
    bodyTimeoutMs: 5000,
    dialer: more.dialer,
    shared,
  })
}

describe('an attempt at an endpoint with HTTP/2', () => {
  it('goes over a shared connection, and says so', async () => {
    await using connection = await FakeConnection.create()
    const stream = new FakeStream()
    stream.push(SWITCHED)
    const outcome = await beginShared(heldClient(connection), new FakeShared(stream))
    assert.ok(!(outcome instanceof Refusal))
    assert.deepEqual([outcome.kind, outcome.isShared], ['granted', true])
    assert.equal(stream.sent, 'GET / HTTP/1.1\r\n\r\n')
    stream.destroy()
  })

  it('says so of a connection of its own, which has agreed on HTTP/1.1, not', async () => {
    await using pair = await socketPair()
    await using connection = await FakeConnection.create()
    pair.peer.write(SWITCHED)
    const outcome = await beginShared(heldClient(connection), new FakeShared(pair.socket))
    assert.ok(!(outcome instanceof Refusal))
    assert.deepEqual([outcome.kind, outcome.isShared === true], ['granted', false])
  })

  it('goes over a connection of its own for other upgrades, and for a request with a body', async () => {
    for (const tokens of [['tcp'], ['websocket', 'tcp'], ['h2c']]) {
      await using connection = await FakeConnection.create()
      const shared = new FakeShared()
      const dialer = new FakeDialer()
      const outcome = beginShared(heldClient(connection), shared, { tokens, dialer })
      ;(await dialer.next()).onFailed('connect', 'ECONNREFUSED', false)
      refused(await outcome, 'E_UPSTREAM_REFUSED')
      assert.equal(shared.opened, 0)
    }
    await using raw = await rawClient(['Content-Length', '4'])
    const shared = new FakeShared()
    refused(await beginShared(raw.client, shared), 'E_UPSTREAM_REFUSED')
    assert.equal(shared.opened, 0)
  })

  it('goes over a connection of its own where the endpoint takes no WebSockets over shared ones', async () => {
    await using connection = await FakeConnection.create()
    const stream = new FakeStream(false)
    const shared = new FakeShared(stream)
    const dialer = new FakeDialer()
    const outcome = beginShared(heldClient(connection), shared, { dialer })
    ;(await dialer.next()).onFailed('connect', 'ECONNREFUSED', false)
    refused(await outcome, 'E_UPSTREAM_REFUSED')
    assert.equal(stream.destroyed, true)
    assert.equal(stream.sent, '')
  })

  it('is made once more where the endpoint has not looked at the stream', async () => {
    await using connection = await FakeConnection.create()
    const [first, second] = [new FakeStream(), new FakeStream()]
    const shared = new FakeShared(first, second)
    first.once('resume', () => first.refuse())
    second.push(SWITCHED)
    const outcome = await beginShared(heldClient(connection), shared)
    assert.ok(!(outcome instanceof Refusal))
    assert.equal(shared.opened, 2)
    second.destroy()
  })

  it('is made once more, and not twice', async () => {
    await using connection = await FakeConnection.create()
    const streams = [new FakeStream(), new FakeStream(), new FakeStream()]
    for (const stream of streams) stream.once('resume', () => stream.refuse())
    const shared = new FakeShared(...streams)
    refused(await beginShared(heldClient(connection), shared), 'E_UPSTREAM_RESET')
    assert.equal(shared.opened, 2)
  })

  it('is not made again where the endpoint may have looked at it', async () => {
    await using connection = await FakeConnection.create()
    const stream = new FakeStream()
    stream.once('resume', () => {
      stream.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    })
    const shared = new FakeShared(stream, new FakeStream())
    refused(await beginShared(heldClient(connection), shared), 'E_UPSTREAM_RESET')
    assert.equal(shared.opened, 1)
  })

  it('is refused where there is no connection', async () => {
    await using connection = await FakeConnection.create()
    const shared = new FakeShared(new Refusal('E_UPSTREAM_PROTOCOL'))
    refused(await beginShared(heldClient(connection), shared), 'E_UPSTREAM_PROTOCOL')
    assert.equal(shared.opened, 1)
  })

  it('waits no longer than its client', async () => {
    await using connection = await FakeConnection.create()
    const shared = new FakeShared()
    const outcome = beginShared(heldClient(connection), shared)
    connection.listener?.onReset()
    refused(await outcome, 'E_CLIENT_GONE')
    assert.equal(shared.cancelled, 1)
  })
})
