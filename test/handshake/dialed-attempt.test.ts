import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it } from 'node:test'
import type { Address } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import type { Answered, Granted } from '../../src/handshake/answer-reader.ts'
import { attempt, type AttemptOptions } from '../../src/handshake/attempt.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import { SWITCHING, WEBSOCKET_KEY } from '../support/raw-client.ts'
import { readBytes } from '../support/socket-pair.ts'
import { FakeConnection, FakeDialer, fakeEndpoint, heldClient, HTTP1_0 } from './fakes.ts'
import type { HeldClient } from '../../src/http1/held-client.ts'

const NUMERIC: Address = { kind: 'tcp', host: '192.0.2.9', port: 80 }
const NAMED: Address = { kind: 'tcp', host: 'app.test', port: 80 }
const HEAD = 'GET / HTTP/1.1\r\n\r\n'

interface Attempt extends AsyncDisposable {
  readonly connection: FakeConnection
  readonly client: HeldClient
  readonly dialer: FakeDialer
  readonly outcome: Promise<Granted | Answered | Refusal>
}

/** An attempt for a held client; `setUp` comes before it. */
async function begin(
  address: Address,
  options: Partial<AttemptOptions> = {},
  setUp: (client: HeldClient, dialer: FakeDialer) => void = () => {},
): Promise<Attempt> {
  const connection = await FakeConnection.create()
  const client = heldClient(connection)
  const dialer = new FakeDialer()
  setUp(client, dialer)
  const outcome = attempt({
    client,
    endpoint: fakeEndpoint(address),
    head: HEAD,
    tokens: ['websocket'],
    websocketKey: WEBSOCKET_KEY,
    lost: { edits: { set: [], remove: [] } },
    connectTimeoutMs: 5000,
    handshakeTimeoutMs: 3000,
    bodyTimeoutMs: 3000,
    dialer,
    shared: new Http2Connections(),
    ...options,
  })
  return {
    connection,
    client,
    dialer,
    outcome,
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

/** Answers lookups as a test says, when it says so. */
interface FakeLookup {
  readonly asked: string[]
  readonly lookup: NonNullable<AttemptOptions['lookup']>
  find(...hosts: string[]): void
  fail(code: string): void
}

function fakeLookup(): FakeLookup {
  const asked: string[] = []
  let done: Parameters<FakeLookup['lookup']>[2] | undefined
  return {
    asked,
    lookup: (host, _options, onDone) => {
      asked.push(host)
      done = onDone
    },
    find: (...hosts) =>
      done?.(
        null,
        hosts.map((address) => ({ address, family: 4 })),
      ),
    fail: (code) => done?.(Object.assign(new Error(`getaddrinfo ${code}`), { code }), []),
  }
}

function hostsOf(dialer: FakeDialer): string[] {
  return dialer.dials.map(({ request: { target } }) =>
    target.kind === 'tcp' ? `${target.host}:${target.port}` : target.path,
  )
}

function refused(outcome: Granted | Answered | Refusal, code: string, cause: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'is refused')
  assert.equal(outcome.code, code)
  assert.match(outcome.details.cause ?? '', cause)
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(resolve, 'pending'))
  return (await Promise.race([promise, turn])) === 'pending'
}

describe('a dialed attempt', () => {
  it('is granted by a right 101, and needs no socket for it', async () => {
    await using tried = await begin(NUMERIC)
    const dial = await tried.dialer.next()
    assert.deepEqual(dial.request, {
      target: NUMERIC,
      client: tried.connection,
      head: HEAD,
      connectMs: 5000,
      handshakeMs: 3000,
    })
    dial.onAnswer(`${SWITCHING}first`, true)
    const granted = await tried.outcome
    assert.ok(!(granted instanceof Refusal) && granted.kind === 'granted')
    assert.equal(granted.protocol, 'websocket')
    assert.equal(Buffer.concat(granted.upstream.unread).toString(), 'first')
    assert.equal(granted.upstream.ended, true)
    assert.deepEqual([dial.calls, tried.connection.calls], [['side'], []])
    // What comes of the client now is the relay's.
    tried.client.onReset()
    assert.deepEqual(dial.calls, ['side'])
  })

  it('passes on another answer with what is behind its head', async () => {
    await using tried = await begin({ kind: 'unix', path: '/run/app.sock' })
    const dial = await tried.dialer.next()
    assert.deepEqual(hostsOf(tried.dialer), ['/run/app.sock'])
    dial.onAnswer('HTTP/1.1 404 Not Found\r\n\r\nbody', false)
    const answered = await tried.outcome
    assert.ok(!(answered instanceof Refusal) && answered.kind === 'answered')
    assert.deepEqual([answered.head.status, answered.upstream.ended], [404, false])
  })

  it('waits for the rest of an answer, without more time for it', async () => {
    await using tried = await begin(NUMERIC)
    const dial = await tried.dialer.next()
    dial.onAnswer(SWITCHING.slice(0, 20), false)
    dial.onAnswer(SWITCHING.slice(20, 40), false)
    assert.deepEqual(dial.calls, ['proceed', 'proceed'])
    dial.onAnswer(SWITCHING.slice(40), false)
    assert.ok(!((await tried.outcome) instanceof Refusal))
  })

  it('gives the client informational answers, and the upstream more time for each', async () => {
    await using tried = await begin(NUMERIC)
    const dial = await tried.dialer.next()
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    dial.onAnswer(hints.slice(0, 9), false)
    dial.onAnswer(`${hints.slice(9)}HTTP`, false)
    assert.deepEqual(dial.calls, ['proceed', 'refresh'])
    assert.equal(String(await readBytes(tried.connection.peer, hints.length)), hints)
    assert.deepEqual(tried.connection.calls, ['toSocket'])
    dial.onAnswer(SWITCHING.slice(4), false)
    const granted = await tried.outcome
    assert.ok(!(granted instanceof Refusal) && granted.kind === 'granted')
  })

  it('keeps informational answers from a client of HTTP/1.0', async () => {
    const connection = await FakeConnection.create()
    await using _ = connection
    const client = heldClient(connection, { head: HTTP1_0 })
    await using tried = await begin(NUMERIC, { client })
    const dial = await tried.dialer.next()
    dial.onAnswer(`HTTP/1.1 100 Continue\r\n\r\n${SWITCHING}`, false)
    assert.ok(!((await tried.outcome) instanceof Refusal))
    assert.deepEqual(connection.calls, [])
  })
})

describe('a dialed attempt that fails', () => {
  const answers: [name: string, parts: [string, boolean][], code: string, cause: RegExp][] = [
    ['a FIN in place of an answer', [['', true]], 'E_UPSTREAM_RESET', /FIN before an answer/],
    [
      'a FIN in the middle of an answer',
      [
        ['HTTP/1.1 101', false],
        ['', true],
      ],
      'E_UPSTREAM_PROTOCOL',
      /in the middle/,
    ],
    ['a FIN with a part of an answer', [['HTTP', true]], 'E_UPSTREAM_PROTOCOL', /in the middle/],
    ['what is no HTTP', [['SSH-2.0', false]], 'E_UPSTREAM_PROTOCOL', /no HTTP/],
    [
      'too many informational answers',
      [['HTTP/1.1 103 \r\n\r\n'.repeat(33), false]],
      'E_UPSTREAM_PROTOCOL',
      /too many/,
    ],
    [
      'a 101 with a wrong key',
      [[SWITCHING.replace(/Accept: ./, 'Accept: x'), false]],
      'E_UPSTREAM_SWITCH',
      /Accept/,
    ],
  ]
  for (const [name, parts, code, cause] of answers) {
    it(`is refused for ${name}, and closes the connection`, async () => {
      await using tried = await begin(NUMERIC)
      const dial = await tried.dialer.next()
      for (const [text, fin] of parts) dial.onAnswer(text, fin)
      refused(await tried.outcome, code, cause)
      assert.equal(dial.calls.at(-1), 'abandon')
      assert.equal(tried.client.gone, false)
    })
  }

  const failures: [stage: 'connect' | 'answer', code: string, late: boolean, refusal: string][] = [
    ['connect', 'ECONNREFUSED', false, 'E_UPSTREAM_REFUSED'],
    ['connect', 'EHOSTUNREACH', false, 'E_UPSTREAM_UNREACHABLE'],
    ['connect', 'ETIMEDOUT', true, 'E_CONNECT_TIMEOUT'],
    ['answer', 'ECONNRESET', false, 'E_UPSTREAM_RESET'],
    ['answer', 'ETIMEDOUT', true, 'E_HANDSHAKE_TIMEOUT'],
  ]
  for (const [stage, code, late, refusal] of failures) {
    it(`is ${refusal} for ${code} (${stage}${late ? ', in time' : ''})`, async () => {
      await using tried = await begin(NUMERIC)
      const dial = await tried.dialer.next()
      dial.onFailed(stage, code, late)
      const cause = late ? (stage === 'connect' ? /5000 ms/ : /3000 ms/) : new RegExp(code)
      refused(await tried.outcome, refusal, cause)
      assert.deepEqual(dial.calls, [])
    })
  }

  it('is refused when it cannot even begin', async () => {
    await using tried = await begin(NUMERIC, {}, (_client, dialer) => dialer.errors.push('EMFILE'))
    refused(await tried.outcome, 'E_GATEWAY_EXHAUSTED', /EMFILE/)
  })

  it('begins nothing for a client that is gone', async () => {
    await using tried = await begin(NUMERIC, {}, (client) => client.onReset())
    refused(await tried.outcome, 'E_CLIENT_GONE', /^/)
    assert.equal(tried.dialer.dials.length, 0)
  })

  for (const when of ['the dial', 'the wait for the answer'] as const) {
    it(`is given up when the client leaves during ${when}`, async () => {
      await using tried = await begin(NUMERIC)
      const dial = await tried.dialer.next()
      if (when !== 'the dial') dial.onAnswer('HTTP/1.1 1', false)
      tried.connection.listener?.onFin()
      refused(await tried.outcome, 'E_CLIENT_GONE', /^/)
      assert.equal(dial.calls.at(-1), 'abandon')
    })
  }
})

describe('a dialed attempt at a name', () => {
  it('dials the addresses in their order, the last one for what time is left', async (test) => {
    const named = fakeLookup()
    let nowMs = 1000
    test.mock.method(performance, 'now', () => nowMs)
    await using tried = await begin(NAMED, named)
    assert.deepEqual(named.asked, ['app.test'])
    nowMs += 100
    named.find('192.0.2.1', '192.0.2.2', '192.0.2.3')
    const first = await tried.dialer.next()
    assert.equal(first.request.connectMs, 250)
    nowMs += 100
    first.onFailed('connect', 'ECONNREFUSED', false)
    const second = await tried.dialer.next()
    nowMs += 100
    second.onFailed('connect', 'ECONNREFUSED', false)
    const third = await tried.dialer.next()
    assert.equal(third.request.connectMs, 4700)
    assert.deepEqual(hostsOf(tried.dialer), ['192.0.2.1:80', '192.0.2.2:80', '192.0.2.3:80'])
    third.onAnswer(SWITCHING, false)
    assert.ok(!((await tried.outcome) instanceof Refusal))
  })

  it('races all addresses by sockets when one is slow and others are left', async () => {
    const named = fakeLookup()
    const server = net.createServer((socket) => socket.resume().end(SWITCHING, 'latin1'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    await using tried = await begin({ kind: 'tcp', host: 'app.test', port }, named)
    named.find('127.0.0.1', '127.0.0.2')
    ;(await tried.dialer.next()).onFailed('connect', 'ETIMEDOUT', true)
    named.find('127.0.0.1', '127.0.0.2')
    const granted = await tried.outcome
    assert.ok(!(granted instanceof Refusal) && granted.kind === 'granted')
    assert.equal(tried.dialer.dials.length, 1)
    granted.upstream.socket.destroy()
    server.close()
    await once(server, 'close')
  })

  it('tries the next address when a dial cannot begin', async () => {
    const named = fakeLookup()
    await using tried = await begin(NAMED, named, (_client, dialer) =>
      dialer.errors.push('EAFNOSUPPORT'),
    )
    named.find('2001:db8::1', '192.0.2.2')
    await tried.dialer.next()
    const second = await tried.dialer.next()
    second.onFailed('connect', 'ECONNREFUSED', false)
    refused(await tried.outcome, 'E_UPSTREAM_REFUSED', /ECONNREFUSED/)
  })

  it('gives the first of several addresses no more than is left', async (test) => {
    const named = fakeLookup()
    test.mock.method(performance, 'now', () => 1000)
    await using tried = await begin(NAMED, {
      lookup: named.lookup,
      connectTimeoutMs: 100,
    })
    named.find('192.0.2.1', '192.0.2.2')
    assert.equal((await tried.dialer.next()).request.connectMs, 100)
  })

  it('has no limit where none is set', async () => {
    const named = fakeLookup()
    await using tried = await begin(NAMED, {
      lookup: named.lookup,
      connectTimeoutMs: Infinity,
    })
    named.find('192.0.2.1')
    assert.equal((await tried.dialer.next()).request.connectMs, Infinity)
  })

  it('tries no other address after an answer has failed', async () => {
    const named = fakeLookup()
    await using tried = await begin(NAMED, named)
    named.find('192.0.2.1', '192.0.2.2')
    ;(await tried.dialer.next()).onFailed('answer', 'ECONNRESET', false)
    refused(await tried.outcome, 'E_UPSTREAM_RESET', /ECONNRESET/)
    assert.equal(tried.dialer.dials.length, 1)
  })

  it('is late when the time was over before the next address', async (test) => {
    const named = fakeLookup()
    let nowMs = 1000
    test.mock.method(performance, 'now', () => nowMs)
    await using tried = await begin(NAMED, named)
    named.find('192.0.2.1', '192.0.2.2')
    const first = await tried.dialer.next()
    nowMs += 5000
    first.onFailed('connect', 'ETIMEDOUT', true)
    refused(await tried.outcome, 'E_CONNECT_TIMEOUT', /5000 ms/)
    assert.equal(tried.dialer.dials.length, 1)
  })

  it('is refused when the name is not found', async () => {
    const named = fakeLookup()
    await using tried = await begin(NAMED, named)
    named.fail('ENOTFOUND')
    refused(await tried.outcome, 'E_UPSTREAM_UNREACHABLE', /getaddrinfo ENOTFOUND/)
  })

  it('is late when the lookup is, whose result is of no use then', async (test) => {
    const named = fakeLookup()
    test.mock.timers.enable({ apis: ['setTimeout'] })
    await using tried = await begin(NAMED, named)
    test.mock.timers.tick(4999)
    assert.ok(await isPending(tried.outcome))
    test.mock.timers.tick(1)
    refused(await tried.outcome, 'E_CONNECT_TIMEOUT', /5000 ms/)
    named.find('192.0.2.1')
    assert.equal(tried.dialer.dials.length, 0)
  })

  it('is given up when the client leaves during the lookup', async () => {
    const named = fakeLookup()
    await using tried = await begin(NAMED, named)
    tried.connection.listener?.onReset()
    refused(await tried.outcome, 'E_CLIENT_GONE', /^/)
    named.find('192.0.2.1')
    assert.equal(tried.dialer.dials.length, 0)
  })
})
