import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import { attempt } from '../../src/handshake/attempt.ts'
import type { Client } from '../../src/handshake/client.ts'
import type { Framing } from '../../src/handshake/framing.ts'
import { RawClient } from '../../src/handshake/raw-client.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import { socketPair } from '../support/socket-pair.ts'
import { FakeConnection, FakeDialer, fakeEndpoint, heldClient } from './fakes.ts'

/** Nobody listens there. */
const NOWHERE = fakeEndpoint({ kind: 'unix', path: '/no-such-folder/app.sock' })

function begin(client: Client, endpoint: Endpoint, dialer: FakeDialer | undefined) {
  return attempt({
    client,
    endpoint,
    head: 'GET / HTTP/1.1\r\n\r\n',
    tokens: ['tcp'],
    websocketKey: undefined,
    connectTimeoutMs: 5000,
    handshakeTimeoutMs: 5000,
    dialer,
    shared: new Http2Connections(),
  })
}

async function rawClient(framing: Framing): Promise<AsyncDisposable & { client: RawClient }> {
  const pair = await socketPair()
  const client = new RawClient({
    socket: pair.socket,
    head: Buffer.alloc(0),
    framing,
    httpVersion: '1.1',
    method: 'POST',
    keepAlive: true,
    endMeansGone: false,
    giveBack: () => {},
    lend: undefined,
  })
  return { client, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() }
}

function refused(outcome: unknown, code: string): void {
  assert.ok(outcome instanceof Refusal)
  assert.equal(outcome.code, code)
}

describe('an attempt', () => {
  it("is dialed for a client with a socket as well, which is none of the dialer's business", async () => {
    await using raw = await rawClient({ kind: 'none' })
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
    await using raw = await rawClient({ kind: 'length', bytes: 4 })
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
