import assert from 'node:assert/strict'
import { once } from 'node:events'
import type http from 'node:http'
import { describe, it } from 'node:test'
import type { Arrival } from '../../src/listen/arrival.ts'
import { brokeOff, Http1Side } from '../../src/listen/http1-side.ts'
import type { HttpLimits } from '../../src/listen/http-server.ts'
import type { HeldConnection } from '../../src/relay/acceptor.ts'
import type { RelaySocket } from '../../src/relay/relay.ts'
import type { RequestHead } from '../../src/request/facts.ts'
import { handshake, RawClient } from '../support/raw-client.ts'
import { socketPair } from '../support/socket-pair.ts'

const LIMITS: HttpLimits = {
  headBytesMax: 16_384,
  headTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
}
const CONNECTION = { peerAddress: '192.0.2.1', encrypted: false, localPort: 80 }
const HELD = { ...CONNECTION, localPort: 81 }
const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'

interface Decision {
  readonly upgrades: boolean
  readonly head: RequestHead
  readonly connection: object
}

/** What the side has handed on so far, in order. */
type Out =
  | { readonly arrival: Arrival; readonly decision: Decision }
  | { readonly response: http.ServerResponse; readonly decision: Decision }
  | { readonly broken: string }

interface TestSide extends Disposable {
  readonly side: Http1Side<Decision>
  readonly decided: Decision[]
  readonly sockets: RelaySocket[]
  /** The next one, past or to come. */
  next(): Promise<Out>
}

/** Upgrades what asks for it, save at /no, and what goes to /ws; it answers nothing by itself. */
function started(limits: Partial<HttpLimits> = {}): TestSide {
  const decided: Decision[] = []
  const sockets: RelaySocket[] = []
  const out: Out[] = []
  let wake: (() => void) | undefined
  const tell = (what: Out): void => {
    out.push(what)
    wake?.()
  }
  const side = new Http1Side<Decision>({
    limits: { ...LIMITS, ...limits },
    handlers: {
      decide: (head, connection) => {
        const asks = head.fields.includes('Upgrade') && head.target !== '/no'
        const decision = { upgrades: asks || head.target === '/ws', head, connection }
        decided.push(decision)
        return decision
      },
      upgrade: (decision, arrival) => tell({ decision, arrival }),
      plain: (decision, request, response) => {
        request.resume()
        tell({ decision, response })
      },
      broken: ({ code }) => {
        tell({ broken: code })
        return `HTTP/1.1 400 ${code}\r\nConnection: close\r\n\r\n`
      },
    },
    describe: () => CONNECTION,
    describeHeld: () => HELD,
    lend: () => undefined,
    onSocket: (socket) => sockets.push(socket),
  })
  return {
    side,
    decided,
    sockets,
    async next() {
      while (out.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return out.shift() as Out
    },
    [Symbol.dispose]: () => side.destroy(),
  }
}

interface Client extends AsyncDisposable {
  readonly client: RawClient
  readonly socket: RelaySocket
}

/** A client whose connection the side has taken. */
async function clientOf({ side }: TestSide, hasBegun = false): Promise<Client> {
  const { peer, socket, [Symbol.asyncDispose]: dispose } = await socketPair()
  side.accept(socket, hasBegun)
  socket.resume()
  return { client: new RawClient(peer), socket, [Symbol.asyncDispose]: dispose }
}

async function nextPlain(tested: TestSide) {
  const out = await tested.next()
  assert.ok('response' in out)
  return out
}

async function nextUpgrade(tested: TestSide) {
  const out = await tested.next()
  assert.ok('arrival' in out && 'socket' in out.arrival)
  return { ...out, arrival: out.arrival }
}

async function nextBroken(tested: TestSide): Promise<string> {
  const out = await tested.next()
  assert.ok('broken' in out)
  return out.broken
}

/** A held connection of which nobody may ask anything. */
const HELD_CONNECTION: HeldConnection = {
  peerAddress: '192.0.2.1',
  listener: undefined,
  hear: assert.fail,
  close: assert.fail,
  toSocket: assert.fail,
  side: assert.fail,
}

function heard(target: string): Parameters<Http1Side<Decision>['handshake']> {
  const head: RequestHead = { method: 'GET', target, httpVersion: '1.1', fields: [] }
  return [HELD_CONNECTION, { head, rest: 'behind' }, true]
}

describe('Http1Side', () => {
  it('hands plain requests on, decided once by their head and their connection', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(
      'POST /a HTTP/1.0\r\nA: b\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n',
    )
    const { response, decision } = await nextPlain(tested)
    const { method, target, httpVersion, fields } = decision.head
    assert.deepEqual([method, target, httpVersion], ['POST', '/a', '1.0'])
    assert.deepEqual(fields.slice(0, 2), ['A', 'b'])
    assert.equal(decision.connection, CONNECTION)
    response.writeHead(200, { 'Content-Length': 1 }).end('x')
    assert.equal((await pair.client.answer()).body, 'x')
    assert.deepEqual(tested.decided, [decision])
  })

  it('hands upgrades on with the socket and what is behind the head, and takes the socket back', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(`${handshake('/chat')}behind`)
    const { arrival, decision } = await nextUpgrade(tested)
    assert.deepEqual([arrival.socket === pair.socket, String(arrival.head)], [true, 'behind'])
    assert.equal(decision.head.target, '/chat')
    assert.equal(tested.decided.length, 1)
    arrival.giveBack(arrival.socket)
    pair.client.write(GET)
    const { response } = await nextPlain(tested)
    response.end()
    assert.equal((await pair.client.head()).status, 200)
  })

  it('upgrades a request that does not ask for it where that is the decision', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write('GET /ws HTTP/1.1\r\nHost: a\r\n\r\n')
    const { arrival } = await nextUpgrade(tested)
    assert.deepEqual([arrival.socket === pair.socket, arrival.head.length], [true, 0])
    assert.equal(tested.decided.length, 1)
  })

  it('hands a request on as a plain one that asks for an upgrade and shall have none', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(handshake('/no'))
    const { response } = await nextPlain(tested)
    response.end()
    assert.equal((await pair.client.head()).status, 200)
    assert.equal(tested.decided.length, 1)
  })

  for (const [what, bytes, code] of [
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 'E_METHOD_DENIED'],
    ['what is no HTTP', 'nonsense\r\n\r\n', 'E_REQUEST_MALFORMED'],
  ] as const) {
    it(`refuses ${what}, and closes when the client has read why`, async () => {
      using tested = started()
      await using pair = await clientOf(tested)
      pair.client.write(`${bytes}more that nobody reads`)
      assert.equal(await nextBroken(tested), code)
      const { statusLine } = await pair.client.head()
      assert.equal(statusLine, `HTTP/1.1 400 ${code}`)
      assert.equal(await pair.client.rest(), '')
      assert.equal(pair.socket.destroyed, false)
      pair.client.socket.end('more')
      await once(pair.socket, 'close')
    })
  }

  it('refuses what is pipelined behind a handshake that the parser took for a request', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    pair.client.write(`GET /ws HTTP/1.1\r\nHost: a\r\n\r\n${GET}`)
    assert.equal(await nextBroken(tested), 'E_REQUEST_MALFORMED')
    assert.equal((await pair.client.head()).status, 400)
  })

  it('tells a request that broke off by its own fault from one whose client left', async () => {
    const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    for (const [end, broke] of [
      ['nonsense\r\n', true],
      ['', false],
    ] as const) {
      using tested = started()
      await using pair = await clientOf(tested)
      pair.client.write(chunked)
      const { response } = await nextPlain(tested)
      const closed = once(response, 'close')
      if (broke) pair.client.socket.end(end)
      else pair.client.socket.resetAndDestroy()
      await closed
      assert.equal(brokeOff(response), broke)
    }
  })

  it('closes whoever says nothing in time without an answer, and answers who has begun', async () => {
    using tested = started({ headTimeoutMs: 50 })
    await using silent = await clientOf(tested)
    assert.equal(await silent.client.rest(), '')
    await using begun = await clientOf(tested, true)
    assert.equal((await begun.client.head()).statusLine, 'HTTP/1.1 400 E_HEAD_TIMEOUT')
    assert.equal(await nextBroken(tested), 'E_HEAD_TIMEOUT')
  })

  it('has other limits for the next requests when it is adjusted', async () => {
    using tested = started()
    await using pair = await clientOf(tested)
    tested.side.adjust({ ...LIMITS, headTimeoutMs: 50 })
    pair.client.write('GET / HTTP/1.1\r\n')
    assert.equal((await pair.client.head()).statusLine, 'HTTP/1.1 400 E_HEAD_TIMEOUT')
  })

  it('hands on a handshake that was heard, and counts its socket when it is given one back', async () => {
    using tested = started()
    assert.equal(tested.side.handshake(...heard('/ws')), true)
    const out = await tested.next()
    assert.ok('arrival' in out && 'connection' in out.arrival)
    const { connection, rest, ended, giveBack } = out.arrival
    assert.deepEqual([connection === HELD_CONNECTION, rest, ended], [true, 'behind', true])
    assert.equal(out.decision.connection, HELD)
    await using pair = await socketPair()
    giveBack(pair.socket)
    assert.deepEqual(tested.sockets, [pair.socket])
    pair.peer.write(GET)
    await nextPlain(tested)
  })

  it('leaves a handshake that was heard to the parser when it is not to be upgraded', () => {
    using tested = started()
    assert.equal(tested.side.handshake(...heard('/a')), false)
    assert.equal(tested.decided.length, 1)
  })

  it('stops when what is in progress is answered; other connections close at once', async () => {
    using tested = started()
    await using idle = await clientOf(tested)
    idle.client.write(GET)
    const first = await nextPlain(tested)
    first.response.end()
    await idle.client.head()
    const busy = [await clientOf(tested), await clientOf(tested)]
    const answers: http.ServerResponse[] = []
    for (const { client } of busy) {
      client.write(GET)
      answers.push((await nextPlain(tested)).response)
    }
    await using upgraded = await clientOf(tested)
    upgraded.client.write(handshake())
    const { arrival } = await nextUpgrade(tested)
    let hasStopped = false
    const stopped = tested.side.stop().then(() => (hasStopped = true))
    assert.equal(await idle.client.rest(), '')
    arrival.giveBack(arrival.socket)
    assert.equal(await upgraded.client.rest(), '')
    for (const [index, { client }] of busy.entries()) {
      assert.equal(hasStopped, false)
      answers[index]?.writeHead(200, { 'Content-Length': 1 }).end('x')
      const { fields, body } = await client.answer()
      assert.deepEqual([fields.get('connection'), body, await client.rest()], ['close', 'x', ''])
    }
    await stopped
    for (const client of busy) await client[Symbol.asyncDispose]()
    await tested.side.stop()
  })

  it('cuts what the parser has when it ends, and nothing that it has let go of', async () => {
    using tested = started()
    await using busy = await clientOf(tested)
    busy.client.write(GET)
    await nextPlain(tested)
    await using upgraded = await clientOf(tested)
    upgraded.client.write(handshake())
    const { arrival } = await nextUpgrade(tested)
    tested.side.destroy()
    await busy.client.gone()
    assert.equal(arrival.socket.destroyed, false)
  })
})
