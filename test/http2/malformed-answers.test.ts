/** Answers that HTTP/2 does not allow, by the byte: none of it may reach a client. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MALFORMED_CODE } from '../../src/handshake/dial.ts'
import { answer, frameEndpoint, requestOn, wholeAnswer } from '../support/frame-endpoint.ts'
import {
  DATA,
  END_STREAM,
  frame,
  GOAWAY,
  RST_STREAM,
  type Frame,
  type FramePeer,
} from '../support/http2-frames.ts'
import { GET, HEAD, ready, TestStream, WEBSOCKET } from './harness.ts'

type Field = readonly [name: string, value: string]

const OK: Field = [':status', '200']

function data(stream: number, text: string, flags = END_STREAM): Buffer {
  return frame(DATA, flags, stream, Buffer.from(text))
}

/** What came of an answer, and what the endpoint was told. */
interface Outcome {
  readonly received: string
  readonly hasEnded: boolean
  readonly error: NodeJS.ErrnoException | undefined
  readonly peer: FramePeer
}

async function outcomeOf(
  request: string,
  script: (stream: number) => readonly Buffer[],
): Promise<Outcome> {
  await using endpoint = await frameEndpoint()
  await using connection = await ready(endpoint.port)
  const peer = await endpoint.next()
  const stream = new TestStream(connection.connection, request)
  const { stream: id } = await requestOn(peer)
  peer.write(...script(id))
  const error = await stream.closed
  await peer.find(({ type }: Frame) => type === RST_STREAM || type === GOAWAY)
  return { received: stream.received, hasEnded: stream.hasEnded, error, peer }
}

function told(peer: FramePeer, type: number): boolean {
  return peer.frames.some((one) => one.type === type)
}

describe('a malformed head', () => {
  const heads: readonly (readonly [what: string, fields: readonly Field[]])[] = [
    ['a name in upper case', [OK, ['X-Up', '1']]],
    ['connection', [OK, ['connection', 'close']]],
    ['keep-alive', [OK, ['keep-alive', 'timeout=5']]],
    ['proxy-connection', [OK, ['proxy-connection', 'close']]],
    ['transfer-encoding', [OK, ['transfer-encoding', 'chunked']]],
    ['upgrade', [OK, ['upgrade', 'h2c']]],
    ['two statuses', [OK, OK]],
    ['a status behind a field', [['a', '1'], OK]],
    ['no status', [['a', '1']]],
    ['a pseudo-header field of requests', [OK, [':path', '/']]],
    ['a 101', [[':status', '101']]],
    ['a status below all', [[':status', '099']]],
    ['a status of two digits', [[':status', '20']]],
  ]
  for (const [what, fields] of heads) {
    it(`with ${what} resets the stream, and gives nothing`, async () => {
      for (const request of [GET, WEBSOCKET]) {
        const { received, error, peer } = await outcomeOf(request, (id) => [answer(id, fields)])
        assert.equal(error?.code, MALFORMED_CODE)
        assert.equal(received, '')
        assert.equal(told(peer, RST_STREAM), true)
        // Those of others go on.
        assert.equal(told(peer, GOAWAY), false)
      }
    })
  }

  it('that is informational and ends the stream gives nothing', async () => {
    const { received, error } = await outcomeOf(GET, (id) => [
      wholeAnswer(id, [[':status', '103']]),
    ])
    assert.equal(error?.code, MALFORMED_CODE)
    assert.equal(received, '')
  })

  it('that says yes to a WebSocket and ends it gives nothing', async () => {
    const { received, error } = await outcomeOf(WEBSOCKET, (id) => [wholeAnswer(id, [OK])])
    assert.equal(error?.code, MALFORMED_CODE)
    assert.equal(received, '')
  })

  for (const value of ['a\0b', 'a\rb', 'a\r\nset-cookie: evil', 'a\nb', 'a\x7fb']) {
    it(`with ${JSON.stringify(value)} in it passes no byte of the field on`, async () => {
      await using endpoint = await frameEndpoint()
      await using connection = await ready(endpoint.port)
      const peer = await endpoint.next()
      const stream = new TestStream(connection.connection, GET)
      const { stream: id } = await requestOn(peer)
      const fields: readonly Field[] = [OK, ['x', value], ['y', '1']]
      peer.write(answer(id, fields), data(id, 'abc', 0), wholeAnswer(id, [['z', value]]))
      assert.equal(
        await stream.whole(),
        'HTTP/1.1 200 OK\r\ny: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      )
    })
  }
})

describe('a malformed body', () => {
  const bodies: readonly (readonly [
    what: string,
    request: string,
    script: (stream: number) => readonly Buffer[],
  ])[] = [
    [
      'of two lengths',
      GET,
      (id) => [answer(id, [OK, ['content-length', '3'], ['content-length', '4']]), data(id, 'abc')],
    ],
    [
      'of a length that is no number',
      GET,
      (id) => [answer(id, [OK, ['content-length', '+3']]), data(id, 'abc')],
    ],
    [
      'longer than it says',
      GET,
      (id) => [answer(id, [OK, ['content-length', '2']]), data(id, 'abc')],
    ],
    [
      'shorter than it says',
      GET,
      (id) => [answer(id, [OK, ['content-length', '4']]), data(id, 'abc')],
    ],
    ['missing where one is said', GET, (id) => [wholeAnswer(id, [OK, ['content-length', '4']])]],
    ['behind the answer to HEAD', HEAD, (id) => [answer(id, [OK]), data(id, 'abc')]],
    ['behind a 204', GET, (id) => [answer(id, [[':status', '204']]), data(id, 'abc')]],
    ['behind a 304', GET, (id) => [answer(id, [[':status', '304']]), data(id, 'abc')]],
    ['before all answers', GET, (id) => [data(id, 'abc', 0)]],
  ]
  for (const [what, request, script] of bodies) {
    it(`${what} is broken off`, async () => {
      const { received, hasEnded, error, peer } = await outcomeOf(request, script)
      assert.equal(error?.code, MALFORMED_CODE)
      assert.equal(hasEnded, false)
      // As far as it was right.
      if (what !== 'shorter than it says') assert.doesNotMatch(received, /abc/)
      // Node ends the whole connection for what is beyond the end of a body.
      assert.equal(told(peer, RST_STREAM) || told(peer, GOAWAY), true)
    })
  }

  const trailers: readonly (readonly [what: string, fields: readonly Field[], flags: number])[] = [
    ['a status', [[':status', '200']], END_STREAM],
    ['an informational status', [[':status', '100']], END_STREAM],
    ['another pseudo-header field', [[':path', '/']], END_STREAM],
    ['a field of the connection', [['connection', 'close']], END_STREAM],
    ['a name in upper case', [['X-Up', '1']], END_STREAM],
    ['no end', [['a', '1']], 0],
  ]
  for (const [what, fields, flags] of trailers) {
    it(`whose trailers have ${what} is broken off`, async () => {
      const { received, hasEnded, error } = await outcomeOf(GET, (id) => [
        answer(id, [OK]),
        data(id, 'abc', 0),
        answer(id, fields, flags),
      ])
      assert.equal(error?.code, MALFORMED_CODE)
      assert.equal(hasEnded, false)
      assert.ok(received.endsWith('3\r\nabc\r\n'), received)
    })
  }
})
