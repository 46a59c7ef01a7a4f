/** HTTP/1.1 and HTTP/2 on either side of the gateway, without TLS and with it: what passes for one pair of versions passes for all. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { describe, it } from 'node:test'
import type { WebSocket } from 'ws'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import {
  clientOf,
  cut,
  endpointOf,
  listenerOf,
  PAIRS,
  TLS_FILES,
  type EndpointOptions,
  type Pair,
  type TestClient,
} from '../support/http-versions.ts'
import { settled } from '../support/settled.ts'

const MEBIBYTE = 1024 ** 2
const FLOOD_BYTES = 32 * MEBIBYTE
/** Of a body that nobody reads at its end: what windows, sockets and the gateway may hold. */
const HELD_BYTES_MAX = 24 * MEBIBYTE

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly client: TestClient
}

/** One endpoint, the gateway and one client. */
async function stage(
  pair: Pair,
  { onRequest, onWebSocket }: Pick<EndpointOptions, 'onRequest' | 'onWebSocket'> = {},
  route = '',
): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const options = {
    ...pair,
    ...(onRequest === undefined ? {} : { onRequest }),
    ...(onWebSocket === undefined ? {} : { onWebSocket }),
  }
  const endpoint = stack.use(await endpointOf(options))
  const yaml = `${listenerOf(pair.isSecure)}
upstreams: { app: { endpoints: [${endpoint.entry}], tls: { ca: ./ca.pem } } }
routes: [{ name: app, upstream: app${route} }]`
  const gateway = stack.use(await startTestGateway(yaml, TLS_FILES))
  const client = stack.use(await clientOf(gateway, pair))
  const moved = stack.move()
  return { gateway, client, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

/** As the log says it. */
function versions({ client, endpoint }: Pair): unknown[] {
  return [client === '2' ? '2.0' : undefined, endpoint === '2' ? '2.0' : undefined]
}

async function bytesOf(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Writes until nobody takes any more, and says how much that was. */
async function flood(writable: Writable): Promise<number> {
  const chunk = Buffer.alloc(65_536)
  let written = 0
  const fill = (): void => {
    while (written < FLOOD_BYTES && !writable.destroyed) {
      written += chunk.length
      if (!writable.write(chunk)) return
    }
  }
  writable.on('drain', fill)
  fill()
  await settled(() => written)
  writable.off('drain', fill)
  return written
}

for (const pair of PAIRS) {
  describe(`a WebSocket of HTTP/${pair.name}`, () => {
    it('carries messages of every kind and size both ways, with its subprotocol', async () => {
      await using on = await stage(pair)
      await using client = await on.client.webSocket('/chat?room=1', { protocols: ['chat', 'v2'] })
      assert.equal(client.socket.protocol, 'chat')
      const big = randomBytes(MEBIBYTE)
      client.socket.send('grüße')
      client.socket.send(Buffer.of(0, 255))
      client.socket.send('in two ', { fin: false })
      client.socket.send('frames', { fin: true })
      client.socket.send(big)
      client.socket.send('')
      for (const [data, isBinary] of [
        [Buffer.from('grüße'), false],
        [Buffer.of(0, 255), true],
        [Buffer.from('in two frames'), false],
        [big, true],
        [Buffer.alloc(0), false],
      ] as const) {
        assert.deepEqual(await client.message(), { data, isBinary })
      }
      client.socket.close(4001, 'enough')
      assert.deepEqual(await client.closed(), { code: 4001, reason: 'enough' })
      const line = await on.gateway.log('tunnel close', { route: 'app' })
      const { httpVersion, endpointHttpVersion } = line
      assert.deepEqual([httpVersion, endpointHttpVersion], versions(pair))
      assert.deepEqual(
        [line['by'], line['wsCloseBy'], line['wsCloseCode']],
        ['upstream', 'client', 4001],
      )
      assert.deepEqual([line['messagesUp'], line['messagesDown']], [5, 5])
      assert.ok(Number(line['bytesUp']) > MEBIBYTE && Number(line['bytesDown']) > MEBIBYTE)
    })

    it('is compressed from end to end, and closed by the endpoint with its code', async () => {
      const extensions: string[] = []
      const onWebSocket = (socket: WebSocket): void => {
        extensions.push(socket.extensions)
        socket.on('message', (data) => {
          socket.send(data)
          socket.close(4002, 'that was it')
        })
      }
      await using on = await stage(pair, { onWebSocket })
      await using client = await on.client.webSocket('/', { deflate: true })
      client.socket.send(Buffer.alloc(MEBIBYTE, 'again '))
      assert.equal((await client.message()).data.length, MEBIBYTE)
      assert.deepEqual(await client.closed(), { code: 4002, reason: 'that was it' })
      extensions.push(client.socket.extensions)
      assert.deepEqual(extensions, ['permessage-deflate', 'permessage-deflate'])
      const line = await on.gateway.log('tunnel close', { route: 'app' })
      assert.deepEqual([line['wsCloseBy'], line['wsCloseCode']], ['upstream', 4002])
      assert.ok(Number(line['bytesUp']) < MEBIBYTE / 10, 'the gateway has seen it compressed')
    })
  })

  describe(`a plain request of HTTP/${pair.name}`, () => {
    it('has its method, target and answer', async () => {
      const seen: unknown[] = []
      const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
        const { method, url, headers } = request
        seen.push([method, url, headers['cookie'], headers['content-length']])
        response.setHeader('Set-Cookie', ['a=1', 'b=2'])
        if (url === '/none') response.writeHead(204).end()
        else if (url === '/same') response.writeHead(304, { ETag: '"1"' }).end()
        else if (method === 'HEAD') response.writeHead(200, { 'Content-Length': 77 }).end()
        else response.end('the answer')
      }
      await using on = await stage(pair, { onRequest })
      const headers = { Cookie: 'a=1; b=2' }
      const get = await on.client.ask('/path?q=1', { headers })
      assert.equal(get.body.toString(), 'the answer')
      assert.deepEqual(get.headers['set-cookie'], ['a=1', 'b=2'])
      const head = await on.client.ask('/path', { method: 'HEAD' })
      assert.deepEqual([head.headers['content-length'], head.body.length], ['77', 0])
      const none = await on.client.ask('/none')
      assert.deepEqual([none.status, none.body.length], [204, 0])
      const same = await on.client.ask('/same')
      assert.deepEqual([same.status, same.headers['etag'], same.body.length], [304, '"1"', 0])
      assert.equal((await on.client.ask('*', { method: 'OPTIONS' })).status, 200)
      assert.deepEqual(seen, [
        ['GET', '/path?q=1', 'a=1; b=2', undefined],
        ['HEAD', '/path', undefined, undefined],
        ['GET', '/none', undefined, undefined],
        ['GET', '/same', undefined, undefined],
        ['OPTIONS', '*', undefined, undefined],
      ])
      const line = await on.gateway.log('request', { path: '/path', method: 'GET' })
      assert.deepEqual([line['httpVersion'], line['endpointHttpVersion']], versions(pair))
    })

    it('takes a body with a length and one without, with early hints and trailers', async () => {
      const seen: unknown[] = []
      const onRequest = async (
        request: IncomingMessage,
        response: ServerResponse,
      ): Promise<void> => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        const body = await bytesOf(request)
        seen.push([request.headers['content-length'], body.toString(), request.trailers['x-sum']])
        response.setHeader('Trailer', 'X-Sum')
        response.write(body)
        response.addTrailers({ 'X-Sum': '7' })
        response.end()
      }
      await using on = await stage(pair, { onRequest })
      const sized = { method: 'POST', body: 'sized', headers: { 'Content-Length': 5 } }
      const trailing = { method: 'POST', body: 'chunks', trailers: { 'x-sum': '3' } }
      for (const asked of [sized, trailing]) {
        const answer = await on.client.ask('/', asked)
        assert.equal(answer.body.toString(), asked.body)
        assert.deepEqual(answer.informational, [{ status: 103, link: '</a.css>; rel=preload' }])
        assert.equal(answer.trailers['x-sum'], '7')
      }
      assert.deepEqual(seen, [
        ['5', 'sized', undefined],
        [undefined, 'chunks', '3'],
      ])
    })

    it('sends its body when it is told to continue', async () => {
      const onRequest = async (
        request: IncomingMessage,
        response: ServerResponse,
      ): Promise<void> => {
        assert.equal(request.headers['expect'], '100-continue')
        response.writeContinue()
        response.end(await bytesOf(request))
      }
      await using on = await stage(pair, { onRequest })
      const headers = { Expect: '100-continue', 'Content-Length': 4 }
      const exchange = on.client.begin('/', { method: 'PUT', headers, hasBody: true })
      await exchange.continued
      exchange.request.end('body')
      const { body } = await exchange.answer
      assert.equal((await bytesOf(body)).toString(), 'body')
    })

    it('moves a big body as fast as its slower side, both ways', async () => {
      const reading = Promise.withResolvers<void>()
      const down = Promise.withResolvers<number>()
      const onRequest = async (
        request: IncomingMessage,
        response: ServerResponse,
      ): Promise<void> => {
        if (request.url === '/down') {
          down.resolve(await flood(response))
          response.end()
        } else {
          await reading.promise
          response.end(String((await bytesOf(request)).length))
        }
      }
      await using on = await stage(pair, { onRequest })
      const up = on.client.begin('/up', { method: 'POST', hasBody: true })
      const written = await flood(up.request)
      assert.ok(written < HELD_BYTES_MAX, `${written} bytes are held on the way up`)
      reading.resolve()
      up.request.end()
      const read = await bytesOf((await up.answer).body)
      assert.equal(Number(read), written)
      const { body } = await on.client.begin('/down').answer
      const sent = await down.promise
      assert.ok(sent < HELD_BYTES_MAX, `${sent} bytes are held on the way down`)
      assert.equal((await bytesOf(body)).length, sent)
    })

    it('gets an answer that comes before its body is there', async () => {
      const onRequest = (_request: IncomingMessage, response: ServerResponse): void => {
        response.writeHead(413, { 'Content-Length': 8 }).end('too much')
      }
      await using on = await stage(pair, { onRequest })
      const exchange = on.client.begin('/', { method: 'POST', hasBody: true })
      const flooded = flood(exchange.request)
      const { status, body } = await exchange.answer
      assert.deepEqual([status, (await bytesOf(body)).toString()], [413, 'too much'])
      // By HTTP/1.1 the endpoint reads on, though it wants none of it; by HTTP/2 it says so.
      const written = await flooded
      exchange.request.end()
      const line = await on.gateway.log('request', { status: 413 })
      assert.deepEqual([line['code'], line['cause']], [undefined, undefined])
      if (pair.endpoint === '1.1') assert.equal(line['bytesUp'], written)
    })

    it('breaks off in the middle of its body, whoever leaves', async () => {
      const asked = Promise.withResolvers<ServerResponse>()
      const left = Promise.withResolvers<void>()
      const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
        response.on('close', () => left.resolve())
        if (request.url === '/stays') request.once('data', () => asked.resolve(response))
        else request.once('data', () => cut(response))
      }
      await using on = await stage(pair, { onRequest })
      const cutOff = on.client.begin('/leaves', { method: 'POST', hasBody: true })
      const flooded = flood(cutOff.request)
      assert.equal((await cutOff.answer).status, 502)
      await flooded
      cutOff.abort()
      await on.gateway.log('request', { path: '/leaves', code: 'E_UPSTREAM_RESET' })
      await left.promise
      const exchange = on.client.begin('/stays', { method: 'POST', hasBody: true })
      exchange.request.write('some')
      const closed = once(await asked.promise, 'close')
      exchange.abort()
      await closed
      await on.gateway.log('request', { path: '/stays', code: 'E_CLIENT_GONE' })
    })

    it('ends at the endpoint when its client leaves', async () => {
      const asked = Promise.withResolvers<void>()
      const left = Promise.withResolvers<void>()
      const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
        request.on('aborted', () => left.resolve())
        response.on('close', () => left.resolve())
        if (request.url === '/begun') response.write('begun')
        asked.resolve()
      }
      for (const path of ['/', '/begun']) {
        await using on = await stage(pair, { onRequest })
        const exchange = on.client.begin(path)
        await (path === '/begun' ? exchange.answer : asked.promise)
        exchange.abort()
        await left.promise
        const line = await on.gateway.log('request', { path })
        if (path === '/') assert.equal(line['code'], 'E_CLIENT_GONE')
        else assert.match(String(line['cause']), /the client left/)
      }
    })

    it('breaks off for its client when the endpoint resets it', async () => {
      const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
        if (request.url === '/early') return cut(response)
        response.write('five!', () => cut(response))
      }
      await using on = await stage(pair, { onRequest })
      const early = await on.client.ask('/early', { method: 'POST', body: 'x' })
      assert.deepEqual(
        [early.status, JSON.parse(early.body.toString()).code],
        [502, 'E_UPSTREAM_RESET'],
      )
      const { body } = await on.client.begin('/late').answer
      await assert.rejects(bytesOf(body))
      const line = await on.gateway.log('request', { path: '/late' })
      assert.equal(typeof line['cause'], 'string')
    })
  })
}
