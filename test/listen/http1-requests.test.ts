import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import type { Client } from '../../src/http1/client.ts'
import type { Http1Limits } from '../../src/listen/http1-connection.ts'
import { Http1Requests } from '../../src/listen/http1-requests.ts'
import type { RelaySocket } from '../../src/relay/relay.ts'
import type { RequestHead } from '../../src/request/facts.ts'
import { handshake, RawClient } from '../support/raw-client.ts'
import { sendText } from '../support/send-text.ts'
import { socketPair } from '../support/socket-pair.ts'
import { FakeConnection } from '../handshake/fakes.ts'

const LIMITS: Http1Limits = {
  headBytesMax: 16_384,
  headTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  halfClose: false,
}
const CONNECTION = { peerAddress: '192.0.2.1', encrypted: false, localPort: 80 }
const HELD = { ...CONNECTION, localPort: 81 }
const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'

interface Request {
  readonly head: RequestHead
  readonly connection: object
  readonly client: Client
}

interface TestRequests extends Disposable {
  readonly http1: Http1Requests
  readonly sockets: RelaySocket[]
  readonly broken: string[]
  limits: Http1Limits
  /** The next one, past or to come. */
  next(): Promise<Request>
}

/** Answers nothing by itself. */
function started(limits: Partial<Http1Limits> = {}): TestRequests {
  const sockets: RelaySocket[] = []
  const broken: string[] = []
  const out: Request[] = []
  let wake: (() => void) | undefined
  const tested: TestRequests = {
    http1: new Http1Requests({
      limits: () => tested.limits,
      handlers: {
        request: (head, connection, client) => {
          out.push({ head, connection, client })
          wake?.()
        },
        broken: ({ code }) => {
          broken.push(code)
          return `HTTP/1.1 400 ${code}\r\nConnection: close\r\n\r\n`
        },
      },
      describe: () => CONNECTION,
      describeHeld: () => HELD,
      lend: () => undefined,
      onSocket: (socket) => sockets.push(socket),
    }),
    sockets,
    broken,
    limits: { ...LIMITS, ...limits },
    async next() {
      while (out.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return out.shift() as Request
    },
    [Symbol.dispose]: () => tested.http1.destroy(),
  }
  return tested
}

interface Pair extends AsyncDisposable {
  readonly client: RawClient
  readonly socket: RelaySocket
}

/** A client whose connection was taken. */
async function clientOf({ http1 }: TestRequests): Promise<Pair> {
  const { peer, socket, [Symbol.asyncDispose]: dispose } = await socketPair()
  http1.accept(socket)
  socket.resume()
  return { client: new RawClient(peer), socket, [Symbol.asyncDispose]: dispose }
}

describe('Http1Requests', () => {
  it('hands requests on with what is known of their connection, one after the other', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(
      'POST /a HTTP/1.0\r\nA: b\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody' + GET,
    )
    const { head, connection, client } = await tested.next()
    assert.deepEqual([head.method, head.target, head.httpVersion], ['POST', '/a', '1.0'])
    assert.deepEqual(head.fields.slice(0, 2), ['A', 'b'])
    assert.equal(connection, CONNECTION)
    await sendText(client, (body) => body)
    const { fields, body } = await pair.client.answer()
    assert.deepEqual([fields.get('connection'), body], ['keep-alive', 'body'])
    await sendText((await tested.next()).client, () => 'second')
    assert.equal((await pair.client.answer()).body, 'second')
  })

  it('lets a connection go with what was read ahead of it', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(`${handshake('/chat')}behind`)
    const { socket, unread, ended } = (await tested.next()).client.release()
    assert.deepEqual(
      [socket === pair.socket, String(Buffer.concat(unread)), ended],
      [true, 'behind', false],
    )
    tested.http1.destroy()
    assert.equal(pair.socket.destroyed, false)
    await tested.http1.stop()
  })

  it('refuses what is no HTTP, and closes when the client has read why', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write('nonsense\r\n\r\nmore that nobody reads')
    const { statusLine } = await pair.client.head()
    assert.equal(statusLine, 'HTTP/1.1 400 E_REQUEST_MALFORMED')
    assert.equal(await pair.client.rest(), '')
    assert.equal(pair.socket.destroyed, false)
    pair.client.socket.end('more')
    await once(pair.socket, 'close')
  })

  it('tells a body with broken chunks from a client that left in the middle of one', async () => {
    for (const isBroken of [true, false]) {
      using tested = started()
      await using pair = await clientOf(tested)
      pair.client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
      const { client } = await tested.next()
      const seen = new Promise<string>((resolve) => {
        client.onGone = () => resolve('gone')
        client.readBody({
          onContent: () => {},
          onBodyEnd: () => resolve('whole'),
          onBodyBroken: () => resolve('broken'),
        })
      })
      if (isBroken) pair.client.write('nonsense\r\n')
      else pair.client.socket.end()
      assert.equal(await seen, isBroken ? 'broken' : 'gone')
      client.destroy()
    }
  })

  it('closes a client that says nothing in time without a word, and answers one that has begun', async () => {
    using tested = started({ headTimeoutMs: 50 })
    await using silent = await clientOf(tested)
    assert.equal(await silent.client.rest(), '')
    await using begun = await clientOf(tested)
    begun.client.write('GET / HT')
    assert.equal((await begun.client.head()).statusLine, 'HTTP/1.1 400 E_HEAD_TIMEOUT')
    assert.deepEqual(tested.broken, ['E_HEAD_TIMEOUT'])
  })

  it('closes a connection that waits for its next request for too long', async () => {
    using tested = started({ keepAliveTimeoutMs: 30 })
    await using pair = await clientOf(tested)
    pair.client.write(GET)
    await sendText((await tested.next()).client, () => 'x')
    assert.equal((await pair.client.answer()).body, 'x')
    assert.equal(await pair.client.rest(), '')
    assert.deepEqual(tested.broken, [])
  })

  it('has the limits of now for the next head', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    tested.limits = { ...LIMITS, headTimeoutMs: 50 }
    pair.client.write('GET / HTTP/1.1\r\n')
    assert.equal((await pair.client.head()).statusLine, 'HTTP/1.1 400 E_HEAD_TIMEOUT')
  })

  it('hands on a request of a held connection, which is a socket only when one is needed', async () => {
    using tested = started()
    await using connection = await FakeConnection.create()
    const head: RequestHead = { method: 'GET', target: '/ws', httpVersion: '1.1', fields: [] }
    tested.http1.acceptHeld(connection, { head, rest: GET }, false)
    const { client, connection: told } = await tested.next()
    assert.deepEqual([client.held === connection, told, connection.calls], [true, HELD, []])
    await sendText(client, () => 'first')
    assert.deepEqual([connection.calls, tested.sockets.length], [['toSocket'], 1])
    await sendText((await tested.next()).client, () => 'second')
    const peer = new RawClient(connection.peer)
    assert.equal((await peer.answer()).body, 'first')
    assert.equal((await peer.answer()).body, 'second')
  })

  it('makes a socket at once for a held connection whose request has a body', async () => {
    using tested = started()
    await using connection = await FakeConnection.create()
    const fields = ['Content-Length', '4']
    const head: RequestHead = { method: 'POST', target: '/', httpVersion: '1.1', fields }
    tested.http1.acceptHeld(connection, { head, rest: 'body' }, false)
    assert.deepEqual(connection.calls, ['toSocket'])
    await sendText((await tested.next()).client, (body) => body)
    assert.equal((await new RawClient(connection.peer).answer()).body, 'body')
  })

  it('stops when what is in progress is answered; idle connections close at once', async () => {
    using tested = started()
    await using idle = await clientOf(tested)
    idle.client.write(GET)
    await sendText((await tested.next()).client, () => 'x')
    await idle.client.answer()
    await using fresh = await clientOf(tested)
    await using busy = await clientOf(tested)
    busy.client.write(GET)
    const { client } = await tested.next()
    let hasStopped = false
    const stopped = tested.http1.stop().then(() => (hasStopped = true))
    assert.equal(await idle.client.rest(), '')
    assert.equal(hasStopped, false)
    await sendText(client, () => 'x')
    const { fields, body } = await busy.client.answer()
    assert.deepEqual([fields.get('connection'), body, await busy.client.rest()], ['close', 'x', ''])
    await stopped
    // Its first request may be on its way.
    fresh.client.write(GET)
    await sendText((await tested.next()).client, () => 'late')
    assert.equal((await fresh.client.answer()).body, 'late')
    assert.equal(await fresh.client.rest(), '')
  })
})
