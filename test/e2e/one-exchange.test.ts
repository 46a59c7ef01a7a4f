/** A connection has one exchange at a time: what a client sends behind a request waits for the end of its response. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING, type RawClient } from '../support/raw-client.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const GET = (path: string, lines = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`

/** The body of chunks that clients send here. */
const CHUNKS = '4\r\nbody\r\n0\r\n\r\n'

interface Asked {
  readonly path: string
  answer(text: string): void
}

interface Holding extends AsyncDisposable {
  readonly upstream: ScriptedUpstream
  /** The next request that the endpoint got; it is answered when the test says so. */
  next(): Promise<Asked>
  /** The most requests that were not answered at a time. */
  readonly pendingMax: number
}

/** An endpoint whose every answer waits for the test. */
async function holding(): Promise<Holding> {
  const asked: Asked[] = []
  let pending = 0
  let pendingMax = 0
  let wake: (() => void) | undefined
  const upstream = await scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { statusLine, fields } = await connection.head()
      const isChunked = fields.has('transfer-encoding')
      await connection.bytes(isChunked ? CHUNKS.length : Number(fields.get('content-length') ?? 0))
      pending += 1
      pendingMax = Math.max(pendingMax, pending)
      const { promise, resolve } = Promise.withResolvers<string>()
      asked.push({ path: statusLine.split(' ')[1] ?? '', answer: resolve })
      wake?.()
      const text = await promise
      pending -= 1
      connection.write(text)
    }
  })
  return {
    upstream,
    async next() {
      while (asked.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return asked.shift() as Asked
    },
    get pendingMax() {
      return pendingMax
    },
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  }
}

const answerTo = (path: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`

function gatewayTo({ upstream: { url } }: Pick<Holding, 'upstream'>): Promise<TestGateway> {
  return startTestGateway(
    `
auth: { robots: { type: apiKey, keys: ./keys.txt } }
routes:
  - { match: { path: /denied }, auth: [robots], upstream: "${url}" }
  - { match: { path: /only }, http: false, upstream: "${url}" }
  - { match: { path: / }, upstream: "${url}" }
`,
    { 'keys.txt': `ann:${'0'.repeat(64)}\n` },
  )
}

async function bodyOf(client: RawClient): Promise<string> {
  const { status, body } = await client.answer()
  assert.equal(status, 200)
  return body
}

describe('a connection with several requests', () => {
  const handshakes: readonly [name: string, text: string, status: number][] = [
    ['without credentials', handshake('/denied'), 401],
    ['of another method', GET('/only'), 426],
    ['of an old version', handshake('/no').replace('Version: 13', 'Version: 99'), 200],
    ['that its endpoint declines', handshake('/declined'), 200],
  ]
  for (const [name, text, status] of handshakes) {
    it(`answers a late request before a refused handshake ${name} behind it, and those that follow`, async () => {
      await using upstream = await holding()
      await using gateway = await gatewayTo(upstream)
      await using client = await rawClient(gateway.port)
      client.write(GET('/slow') + text)
      const slow = await upstream.next()
      client.write(GET('/b'))
      slow.answer(answerTo('/slow'))
      assert.equal(await bodyOf(client), '/slow')
      if (status === 200) (await upstream.next()).answer(answerTo('/declined'))
      assert.equal((await client.answer()).status, status)
      ;(await upstream.next()).answer(answerTo('/b'))
      assert.equal(await bodyOf(client), '/b')
      client.write(GET('/c'))
      ;(await upstream.next()).answer(answerTo('/c'))
      assert.equal(await bodyOf(client), '/c')
    })
  }

  it('opens a tunnel behind a late request, with nothing of that in it', async () => {
    await using upstream = await holding()
    await using gateway = await gatewayTo(upstream)
    await using client = await rawClient(gateway.port)
    client.write(GET('/slow') + handshake('/ws'))
    ;(await upstream.next()).answer(answerTo('/slow'))
    assert.equal(await bodyOf(client), '/slow')
    ;(await upstream.next()).answer(`${SWITCHING}\x81\x02hi`)
    assert.equal((await client.head()).status, 101)
    assert.equal(await client.bytes(4), '\x81\x02hi')
  })

  it('is one connection to the endpoint, however many requests are pipelined', async () => {
    await using upstream = await holding()
    await using gateway = await gatewayTo(upstream)
    await using client = await rawClient(gateway.port)
    const paths = Array.from({ length: 500 }, (_, index) => `/${index}`)
    client.write(paths.map((path) => GET(path)).join(''))
    for (const path of paths) {
      const asked = await upstream.next()
      assert.equal(asked.path, path)
      asked.answer(answerTo(path))
      assert.equal(await bodyOf(client), path)
    }
    assert.deepEqual([upstream.upstream.connections, upstream.pendingMax], [1, 1])
  })

  it('brings a slow POST to the endpoint before the GET behind it', async () => {
    await using upstream = await holding()
    await using gateway = await gatewayTo(upstream)
    await using client = await rawClient(gateway.port)
    client.write(`POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo`)
    client.write(`dy${GET('/2')}`)
    for (const path of ['/1', '/2']) {
      const asked = await upstream.next()
      assert.equal(asked.path, path)
      asked.answer(answerTo(path))
      assert.equal(await bodyOf(client), path)
    }
  })

  it('survives 400 pipelined requests and a handshake of a version that nobody speaks', async () => {
    await using gateway = await startTestGateway('routes: [{ upstream: builtin:echo }]')
    await using client = await rawClient(gateway.port)
    client.write(GET('/none').repeat(400) + handshake('/').replace('Version: 13', 'Version: 99'))
    for (let count = 0; count < 400; count += 1) {
      const { fields } = await client.head()
      await client.bytes(Number(fields.get('content-length')))
    }
    assert.ok((await client.head()).status >= 400)
    await using other = await rawClient(gateway.port)
    other.write(handshake('/'))
    assert.equal((await other.head()).status, 101)
  })
})

describe('many exchanges on one connection', () => {
  it('leave no listeners behind', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    await using upstream = await scriptedUpstream(async (connection) => {
      while (await connection.more()) {
        await connection.head()
        connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`)
      }
    })
    await using gateway = await gatewayTo({ upstream })
    await using client = await rawClient(gateway.port)
    for (let count = 0; count < 30; count += 1) {
      client.write(GET('/a') + GET('/denied'))
      await client.answer()
      await client.answer()
    }
    process.off('warning', onWarning)
    assert.deepEqual(warnings, [])
  })
})

describe('what stands behind a request', () => {
  const behind: readonly [name: string, request: string, next: 'a 400' | 'nothing'][] = [
    ['garbage', `${GET('/a')}\x01garbage\r\n\r\n`, 'a 400'],
    [
      'a second request behind Connection: close',
      GET('/a', 'Connection: close\r\n') + GET('/b'),
      'nothing',
    ],
    [
      'garbage behind Connection: close',
      `${GET('/a', 'Connection: close\r\n')}\x01\x02`,
      'nothing',
    ],
    ['a second request behind HTTP/1.0', `GET /a HTTP/1.0\r\n\r\n${GET('/b')}`, 'nothing'],
    [
      'one byte too many behind a body',
      'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\x00',
      'a 400',
    ],
    ['a bare LF', `${GET('/a')}GET /b HTTP/1.1\n`, 'a 400'],
  ]
  for (const [name, request, next] of behind) {
    it(`is ${next === 'nothing' ? 'ignored' : 'answered 400'} behind its response: ${name}`, async () => {
      await using upstream = await holding()
      await using gateway = await gatewayTo(upstream)
      await using client = await rawClient(gateway.port)
      client.write(request)
      ;(await upstream.next()).answer(answerTo('/a'))
      assert.equal(await bodyOf(client), '/a')
      if (next === 'a 400') assert.equal((await client.answer()).status, 400)
      assert.equal(await client.rest(), '')
      assert.deepEqual([upstream.upstream.connections, upstream.pendingMax], [1, 1])
    })
  }

  it('does not get into the middle of a body that is being sent', async () => {
    await using upstream = await holding()
    await using gateway = await gatewayTo(upstream)
    await using client = await rawClient(gateway.port)
    client.write(GET('/a'))
    const body = 'x'.repeat(300_000)
    ;(await upstream.next()).answer(
      `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await client.head()
    client.write('\x01 no request \r\n\r\n')
    assert.equal(await client.bytes(body.length), body)
    assert.equal((await client.answer()).status, 400)
    assert.equal(await client.rest(), '')
  })

  it('is not read without bound', async () => {
    await using upstream = await holding()
    await using gateway = await gatewayTo(upstream)
    await using client = await rawClient(gateway.port)
    client.write(GET('/slow'))
    const slow = await upstream.next()
    const flood = Buffer.alloc(1_048_576, 'x')
    let sent = 0
    while (client.socket.write(flood) || client.socket.writableLength < 16 * flood.length) {
      sent += flood.length
      if (sent > 64 * flood.length) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(client.socket.writableLength > 0, 'the gateway has read all of it')
    slow.answer(answerTo('/slow'))
    assert.equal(await bodyOf(client), '/slow')
    assert.ok((await client.answer()).status >= 400)
  })
})

describe('a client that leaves', () => {
  const ways: readonly [name: string, leave: (client: RawClient) => void][] = [
    ['with a FIN', (client) => void client.socket.end()],
    ['with a reset', (client) => void client.socket.resetAndDestroy()],
  ]
  for (const [name, leave] of ways) {
    for (const when of ['before', 'in the middle of'] as const) {
      it(`${name} ${when} a response is told to the endpoint at once`, async () => {
        const { promise: gone, resolve } = Promise.withResolvers<void>()
        const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
        await using upstream = await scriptedUpstream(async (connection) => {
          await connection.head()
          if (when !== 'before') {
            connection.write(
              'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n',
            )
          }
          onAsked()
          await connection.gone()
          resolve()
        })
        await using gateway = await gatewayTo({ upstream })
        await using client = await rawClient(gateway.port)
        client.write(GET('/events'))
        await asked
        if (when !== 'before') await client.head()
        leave(client)
        await gone
        await upstream.quiet()
      })
    }
  }

  it('is there still after its FIN where halfClose says so', async () => {
    await using upstream = await holding()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", halfClose: true }]\nroutes: [{ upstream: "${upstream.upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.socket.end(GET('/1') + GET('/2'))
    for (const path of ['/1', '/2']) {
      const asked = await upstream.next()
      assert.equal(asked.path, path)
      asked.answer(answerTo(path))
      assert.equal(await bodyOf(client), path)
    }
    assert.equal(await client.rest(), '')
  })
})

/** What a client may send, and what it must get for it. `/p` is answered by the endpoint. */
const KINDS: readonly [text: (id: number) => string, status: number, reaches: boolean][] = [
  [(id) => GET(`/p${id}`), 200, true],
  [(id) => `POST /p${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody`, 200, true],
  [
    (id) => `POST /p${id} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    200,
    true,
  ],
  [(id) => handshake(`/p${id}`), 200, true],
  [(id) => GET(`/denied/${id}`), 401, false],
  [(id) => handshake(`/denied/${id}`), 401, false],
  [(id) => GET(`/only/${id}`), 426, false],
  [(id) => `TRACE /${id} HTTP/1.1\r\nHost: a\r\n\r\n`, 405, false],
]

describe('any mix of requests on one connection', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    it(`is answered in order, each by its own answer (${seed})`, async () => {
      const random = randomNumbers(seed)
      await using upstream = await holding()
      await using gateway = await gatewayTo(upstream)
      await using client = await rawClient(gateway.port)
      client.socket.setNoDelay(true)
      const picks = Array.from({ length: 30 }, (_, id) => ({
        id,
        kind: KINDS[random(KINDS.length)] as (typeof KINDS)[number],
      }))
      const bytes = picks.map(({ id, kind: [text] }) => text(id)).join('')
      const answering = (async () => {
        for (const {
          id,
          kind: [, , reaches],
        } of picks) {
          if (!reaches) continue
          const asked = await upstream.next()
          assert.equal(asked.path, `/p${id}`)
          if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve))
          asked.answer(answerTo(`/p${id}`))
        }
      })()
      for (let at = 0; at < bytes.length;) {
        const length = 1 + random(400)
        client.write(bytes.slice(at, at + length))
        at += length
        if (random(3) === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      for (const {
        id,
        kind: [, status, reaches],
      } of picks) {
        const answer = await client.answer()
        assert.equal(answer.status, status)
        if (reaches) assert.equal(answer.body, `/p${id}`)
      }
      await answering
      assert.equal(upstream.pendingMax, 1)
    })
  }
})
