/** How a gateway, or one of its listeners, parts from clients that speak HTTP/2. */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import net from 'node:net'
import { describe, it } from 'node:test'
import { CLOSE, closePayload, downFrame, TEXT, upFrame } from '../relay/made-frames.ts'
import { startTestGateway } from '../support/gateway.ts'
import { http2Client, type Http2Client } from '../support/http2-client.ts'
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  FramePeer,
  framePeer,
  get,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  SETTINGS,
  type Frame,
} from '../support/http2-frames.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const LISTENERS = 'listeners: [{ address: "127.0.0.1:0", h2c: true }]\n'
const TLS_LISTENERS =
  'listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem, http2: true } }]\n'
const TLS_FILES = { 'cert.pem': tlsFile('cert.pem'), 'key.pem': tlsFile('key.pem') }
const ECHO = 'routes: [{ name: echo, upstream: "builtin:echo" }]'
const NO_ERROR = 0
/** The last stream that there can be. */
const ANY_STREAM = 2 ** 31 - 1
const curl = findProgram('curl')

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

const WEBSOCKET = fieldBlock([
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':authority', 'gateway.test'],
  [':path', '/'],
  ['sec-websocket-version', '13'],
])

async function webSocket(client: Http2Client): Promise<ClientHttp2Stream> {
  const stream = client.connect('/')
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  assert.equal(headers[':status'], 200)
  return stream
}

/** The GOAWAYs so far: their last stream and their code. */
function goneAways({ frames }: FramePeer): [lastStream: number, code: number][] {
  return frames
    .filter(({ type }) => type === GOAWAY)
    .map(({ payload }) => [payload.readUInt32BE(0), payload.readUInt32BE(4)])
}

/** Waits for the first of the two steps, and returns how to say that it was read. */
async function noticed(peer: FramePeer): Promise<() => void> {
  const ping = await peer.find(({ type, flags }) => type === PING && flags !== ACK)
  assert.deepEqual(goneAways(peer), [[ANY_STREAM, NO_ERROR]])
  return () => peer.write(frame(PING, ACK, 0, ping?.payload))
}

function isGoAway({ type }: Frame): boolean {
  return type === GOAWAY
}

/** Streams that have an answer. */
function answeredStreams({ frames }: FramePeer): number[] {
  return frames.flatMap(({ type, stream }) => (type === HEADERS ? [stream] : []))
}

async function untilConnected(upstream: ScriptedUpstream, count: number): Promise<void> {
  while (upstream.connections < count) await new Promise((resolve) => setImmediate(resolve))
}

/** An endpoint that says 200 to all, when `answer` is fulfilled. */
function waitingUpstream(answer: Promise<void>): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    await connection.head()
    await answer
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
}

describe('a gateway that stops', () => {
  it('says GOAWAY in two steps, and serves what comes between them', async () => {
    const answer = Promise.withResolvers<void>()
    await using upstream = await waitingUpstream(answer.promise)
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ upstream: "${upstream.url}" }]`,
    )
    await using peer = await framePeer(gateway.port)
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, get('/')))
    await untilConnected(upstream, 1)
    const stopped = gateway.gateway.stop()
    const answerPing = await noticed(peer)
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 3, get('/')))
    answerPing()
    await peer.count(isGoAway, 2)
    assert.deepEqual(goneAways(peer)[1], [3, NO_ERROR])
    // Too late; the client knows by the number that nobody has seen it.
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 5, get('/')))
    peer.write(frame(PING, 0, 0, Buffer.alloc(8)))
    await peer.find(({ type, flags }) => type === PING && flags === ACK)
    await untilConnected(upstream, 2)
    answer.resolve()
    await stopped
    await peer.closed
    assert.deepEqual(new Set(answeredStreams(peer)), new Set([1, 3]))
    assert.equal(upstream.connections, 2)
  })

  it('waits for a request that comes together with the answer to its PING', async () => {
    await using upstream = await waitingUpstream(Promise.resolve())
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ upstream: "${upstream.url}" }]`,
    )
    await using peer = await framePeer(gateway.port)
    const stopped = gateway.gateway.stop()
    const answerPing = await noticed(peer)
    peer.socket.cork()
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, get('/')))
    answerPing()
    peer.socket.uncork()
    await stopped
    await peer.closed
    assert.deepEqual(goneAways(peer)[1], [1, NO_ERROR])
    assert.deepEqual(answeredStreams(peer), [1])
  })

  it('is through at once with clients that ask for nothing, and tells those that come meanwhile', async () => {
    await using upstream = await waitingUpstream(Promise.resolve())
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ upstream: "${upstream.url}" }]`,
    )
    const socket = net.connect(gateway.port, '127.0.0.1')
    await once(socket, 'connect')
    await using late = new FramePeer(socket)
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    const goaway = once(client.session, 'goaway')
    await using idle = await framePeer(gateway.port)
    const stopped = gateway.gateway.stop()
    await goaway
    // Its connection is there, and nothing was known of it.
    late.write(PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, 5, 1, get('/')))
    ;(await noticed(late))()
    assert.equal(late.frames[0]?.type, SETTINGS)
    ;(await noticed(idle))()
    await Promise.all([stopped, idle.closed, late.closed])
    assert.deepEqual(answeredStreams(late), [1])
    assert.deepEqual(goneAways(idle)[1], [0, NO_ERROR])
  })

  for (const { name, listeners, scheme } of [
    { name: 'plain TCP', listeners: LISTENERS, scheme: 'http' },
    { name: 'TLS', listeners: TLS_LISTENERS, scheme: 'https' },
  ]) {
    it(`breaks no answer that is on its way over ${name}`, async () => {
      const body = randomBytes(24 * 1024 ** 2)
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
        connection.socket.write(body)
      })
      await using gateway = await startTestGateway(
        `${listeners}routes: [{ upstream: "${upstream.url}" }]`,
        TLS_FILES,
      )
      await using client = await http2Client(`${scheme}://127.0.0.1:${gateway.port}`, {
        rejectUnauthorized: false,
      })
      const streams = [1, 2, 3].map(() => client.session.request({ ':path': '/' }))
      await Promise.all(streams.map((stream) => once(stream, 'response')))
      const goaways: unknown[] = []
      client.session.on('goaway', (...goaway) => goaways.push(goaway))
      const first = once(client.session, 'goaway')
      const stopped = gateway.gateway.stop()
      const digests = streams.map(async (stream) => {
        const hash = createHash('sha256')
        for await (const chunk of stream) hash.update(chunk as Buffer)
        return hash.digest('hex')
      })
      await first
      const digest = createHash('sha256').update(body).digest('hex')
      assert.deepEqual(await Promise.all(digests), [digest, digest, digest])
      await stopped
      assert.deepEqual(goaways, [
        [NO_ERROR, ANY_STREAM, undefined],
        [NO_ERROR, 5, undefined],
      ])
    })
  }

  it(
    'and is replaced by another one on its address loses no request of curl',
    { skip: curl.skip },
    async () => {
      const many = Promise.withResolvers<void>()
      const stopping = Promise.withResolvers<void>()
      let requests = 0
      await using upstream = await scriptedUpstream(async (connection) => {
        while (await connection.more()) {
          await connection.head()
          requests += 1
          if (requests === 100) many.resolve()
          if (requests >= 100) await stopping.promise
          connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        }
      })
      const yaml = (port: number): string =>
        `
        listeners:
          - address: 127.0.0.1:${port}
            reusePort: true
            tls: { cert: ./cert.pem, key: ./key.pem, http2: true }
        routes: [{ upstream: "${upstream.url}" }]
      `
      await using first = await startTestGateway(yaml(0), TLS_FILES)
      const url = `https://127.0.0.1:${first.port}/[1-500]`
      const options = '-skS --http2 --parallel --parallel-max 20 -o /dev/null'
      const asked = runProgram(curl.path, [...options.split(' '), '-w', '%{http_code}\n', url])
      await many.promise
      await using second = await startTestGateway(yaml(first.port), TLS_FILES)
      const stopped = first.gateway.stop()
      stopping.resolve()
      const { stdout } = await asked
      await stopped
      assert.deepEqual(stdout.trim().split('\n'), Array<string>(500).fill('200'))
      assert.ok(second.logs.some(({ msg }) => msg === 'request'))
    },
  )

  it('closes WebSockets with their Close frame', async () => {
    await using gateway = await startTestGateway(`${LISTENERS}shutdown: { drain: 1s }\n${ECHO}`)
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    const stream = await webSocket(client)
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      stream.end(upFrame(CLOSE, closePayload(1001)))
    })
    const closed = once(stream, 'close')
    await gateway.gateway.stop()
    await closed
    const bytes = Buffer.concat(chunks)
    assert.deepEqual([bytes[0], bytes.readUInt16BE(2)], [0x80 | CLOSE, 1001])
    assert.equal(stream.rstCode, 0)
    await gateway.log('tunnel close', { by: 'gateway', reason: 'drain', httpVersion: '2.0' })
  })

  it('does not wait for a client that answers nothing', async () => {
    await using gateway = await startTestGateway(LISTENERS + ECHO)
    await using peer = await framePeer(gateway.port)
    peer.socket.pause()
    await gateway.gateway.stop()
    peer.socket.resume()
    await peer.closed
  })
})

describe('a listener that a reload removes', () => {
  it('serves a WebSocket that was asked for before its client knew', async () => {
    await using gateway = await startTestGateway(LISTENERS + ECHO)
    await using peer = await framePeer(gateway.port)
    const { ok } = await gateway.reload(`listeners: [{ address: "127.0.0.2:0" }]\n${ECHO}`)
    assert.equal(ok, true)
    const answerPing = await noticed(peer)
    peer.write(frame(HEADERS, END_HEADERS, 1, WEBSOCKET))
    answerPing()
    await peer.count(isGoAway, 2)
    assert.deepEqual(goneAways(peer)[1], [1, NO_ERROR])
    peer.write(frame(DATA, 0, 1, upFrame(TEXT, 'still here')))
    const data = await peer.find(({ type }) => type === DATA)
    assert.deepEqual(data?.payload, downFrame(TEXT, 'still here'))
  })

  it('takes no more streams, and leaves those that are there', async () => {
    await using gateway = await startTestGateway(LISTENERS + ECHO)
    const { port } = gateway
    await using client = await http2Client(`http://127.0.0.1:${port}`)
    const stream = await webSocket(client)
    const goaway = once(client.session, 'goaway')
    const { ok } = await gateway.reload(`listeners: [{ address: "127.0.0.2:0" }]\n${ECHO}`)
    assert.equal(ok, true)
    await goaway
    const message = upFrame(TEXT, 'still here')
    const data = once(stream, 'data')
    stream.write(message)
    assert.deepEqual(await data, [downFrame(TEXT, 'still here')])
    const closed = once(client.session, 'close')
    stream.on('data', () => {})
    stream.end(upFrame(CLOSE, closePayload(1000)))
    await closed
    await gateway.log('tunnel close', { by: 'client' })
  })
})
