/** How a gateway, or one of its listeners, parts from clients that speak HTTP/2. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { describe, it } from 'node:test'
import { CLOSE, closePayload, downFrame, TEXT, upFrame } from '../relay/made-frames.ts'
import { startTestGateway } from '../support/gateway.ts'
import { http2Client, type Http2Client } from '../support/http2-client.ts'
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  frame,
  framePeer,
  get,
  GOAWAY,
  HEADERS,
  PING,
} from '../support/http2-frames.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const LISTENERS = 'listeners: [{ address: "127.0.0.1:0", h2c: true }]\n'
const ECHO = 'routes: [{ name: echo, upstream: "builtin:echo" }]'

async function webSocket(client: Http2Client): Promise<ClientHttp2Stream> {
  const stream = client.connect('/')
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  assert.equal(headers[':status'], 200)
  return stream
}

describe('a gateway that stops', () => {
  it('says GOAWAY with the last stream that it has begun, and answers what it has begun', async () => {
    const answer = Promise.withResolvers<void>()
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      await answer.promise
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ upstream: "${upstream.url}" }]`,
    )
    await using peer = await framePeer(gateway.port)
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, get('/')))
    while (upstream.connections < 1) await new Promise((resolve) => setImmediate(resolve))
    const stopped = gateway.gateway.stop()
    const goaway = await peer.find(({ type }) => type === GOAWAY)
    assert.deepEqual([goaway?.payload.readUInt32BE(0), goaway?.payload.readUInt32BE(4)], [1, 0])
    // Too late; the client knows by the number that nobody has seen it.
    peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 3, get('/')))
    peer.write(frame(PING, 0, 0, Buffer.alloc(8)))
    await peer.find(({ type, flags }) => type === PING && flags === ACK)
    answer.resolve()
    await stopped
    await peer.closed
    const answered = peer.frames.flatMap(({ type, stream }) => (type === HEADERS ? [stream] : []))
    assert.deepEqual([answered, upstream.connections], [[1], 1])
  })

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
