/**
 * The reader of handshake heads against named cases, and against node's parser: whatever it takes, both read alike.
 *
 *     UPGATE_TEST_HEADS=1000000 node --test test/listen/handshake-head.test.ts     more random heads
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { duplexPair, type Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { readHandshakeHead } from '../../src/listen/handshake-head.ts'
import { createHttpServer } from '../../src/listen/http-server.ts'
import { handshake } from '../support/raw-client.ts'
import { COUNT, FIRST_SEED, named, randomRequest } from './random-heads.ts'

const MAX = 16_384

const head = (lines: readonly string[]): string =>
  ['GET /a?b=c HTTP/1.1', ...lines, '', ''].join('\r\n')

describe('readHandshakeHead', () => {
  it('reads the target, and the order, case and number of fields', () => {
    const lines = ['hOST: a', 'Upgrade: x', 'A: 1', 'a:\t2 \t', 'A:', 'B: \xe9\xa0']
    assert.deepEqual(readHandshakeHead(head(lines), MAX), {
      head: {
        method: 'GET',
        target: '/a?b=c',
        httpVersion: '1.1',
        fields: ['hOST', 'a', 'Upgrade', 'x', 'A', '1', 'a', '2', 'A', '', 'B', '\xe9\xa0'],
      },
      rest: '',
    })
  })

  it('leaves what is behind the head', () => {
    const read = readHandshakeHead(`${handshake()}\x81\x00\r\n\r\n`, MAX)
    assert.ok(read !== undefined && read !== 'more')
    assert.equal(read.rest, '\x81\x00\r\n\r\n')
  })

  it('waits for more at every border at which a head can be split', () => {
    const whole = handshake()
    for (let end = 0; end < whole.length; end += 1) {
      assert.equal(readHandshakeHead(whole.slice(0, end), MAX), 'more')
    }
  })

  it('takes a head of as many bytes as it may have, and no more', () => {
    const whole = handshake()
    assert.ok(typeof readHandshakeHead(whole, whole.length) === 'object')
    assert.ok(typeof readHandshakeHead(`${whole}rest`, whole.length) === 'object')
    assert.equal(readHandshakeHead(whole, whole.length - 1), undefined)
    assert.equal(readHandshakeHead(whole.slice(0, -4), whole.length - 4), undefined)
    assert.equal(readHandshakeHead(whole.slice(0, -5), whole.length - 4), 'more')
  })

  const upgrade = 'Upgrade: websocket'
  const others: [name: string, text: string][] = [
    ['another method', head([upgrade]).replace('GET', 'POST')],
    ['a method in lower case', head([upgrade]).replace('GET', 'get')],
    ['HTTP/1.0', head([upgrade]).replace('1.1', '1.0')],
    ['HTTP/2.0', head([upgrade]).replace('1.1', '2.0')],
    ['an absolute target', head([upgrade]).replace('/a?b=c', 'http://a/')],
    ['the target *', head([upgrade]).replace('/a?b=c', '*')],
    ['a target with a fragment', head([upgrade]).replace('/a?b=c', '/a#b')],
    ['a target with a byte above ASCII', head([upgrade]).replace('/a?b=c', '/\xe9')],
    ['a target with a space', head([upgrade]).replace('/a?b=c', '/a b')],
    ['a target with a control character', head([upgrade]).replace('/a?b=c', '/a\x01')],
    ['two spaces in the request line', head([upgrade]).replace(' HTTP', '  HTTP')],
    ['an empty line before the request', `\r\n${head([upgrade])}`],
    ['a request line that ends in a line feed', head([upgrade]).replace('\r\n', '\n')],
    ['no Upgrade', head(['Host: a'])],
    ['no field at all', 'GET / HTTP/1.1\r\n\r\n'],
    ['a Content-Length', head([upgrade, 'content-length: 0'])],
    ['a Transfer-Encoding', head([upgrade, 'Transfer-Encoding: chunked'])],
    ['an Expect', head([upgrade, 'Expect: 100-continue'])],
    ['a Trailer', head([upgrade, 'Trailer: a'])],
    ['a TE', head([upgrade, 'TE: trailers'])],
    ['a field line without a colon', head([upgrade, 'A'])],
    ['a field without a name', head([upgrade, ': a'])],
    ['a space before the colon', head([upgrade, 'A : b'])],
    ['a folded line', head([upgrade, 'A: b', ' c'])],
    ['a bare line feed in a value', head([upgrade, 'A: b\nC: d'])],
    ['a bare carriage return in a value', head([upgrade, 'A: b\rc'])],
    ['a NUL in a value', head([upgrade, 'A: \0'])],
    ['a DEL in a value', head([upgrade, 'A: \x7f'])],
    ['a first byte that no GET has', 'P'],
    ['the first bytes of TLS', '\x16\x03\x01'],
  ]
  for (const [name, text] of others) {
    it(`leaves ${name} to node's parser`, () => {
      assert.equal(readHandshakeHead(text, MAX), undefined)
    })
  }
})

interface Read {
  readonly method: string | undefined
  readonly target: string | undefined
  readonly httpVersion: string
  readonly fields: readonly string[]
  /** What is behind the head; undefined where the parser goes on, as the head does not say Connection: Upgrade. */
  readonly rest: string | undefined
}

/** Node's parser as a listener has it, which reads one connection after the other. */
class Parser implements Disposable {
  readonly #server: Server
  #resolve: (read: Read | string) => void = () => {}

  constructor() {
    const limits = { headTimeoutMs: 60_000, headBytesMax: MAX, keepAliveTimeoutMs: 60_000 }
    this.#server = createHttpServer(limits, () => true)
    this.#server.on('upgrade', (request: IncomingMessage, _socket: Duplex, rest: Buffer) => {
      this.#resolve(readBy(request, rest.toString('latin1')))
    })
    const onRequest = (request: IncomingMessage, _response: ServerResponse): void => {
      this.#resolve(readBy(request, undefined))
    }
    this.#server.on('request', onRequest)
    this.#server.on('checkExpectation', onRequest)
    this.#server.on('clientError', (error: NodeJS.ErrnoException) => this.#resolve(String(error)))
  }

  async read(text: string): Promise<Read | string> {
    const [client, socket] = duplexPair()
    client.on('error', () => {}).resume()
    const read = new Promise<Read | string>((resolve) => {
      this.#resolve = resolve
    })
    socket.on('close', () => this.#resolve('nothing'))
    this.#server.emit('connection', socket)
    client.end(text, 'latin1')
    const result = await read
    if (!socket.closed) {
      socket.on('error', () => {}).destroy()
      await once(socket, 'close')
    }
    return result
  }

  [Symbol.dispose](): void {
    this.#server.close()
  }
}

function readBy(request: IncomingMessage, rest: string | undefined): Read {
  const { method, url: target, httpVersion, rawHeaders: fields } = request
  return { method, target, httpVersion, fields, rest }
}

describe("readHandshakeHead and node's parser", () => {
  it(`read ${COUNT} random heads alike`, { timeout: Infinity }, async (test) => {
    using parser = new Parser()
    let taken = 0
    let upgraded = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed += 1) {
      const text = randomRequest(seed)
      const read = readHandshakeHead(text, MAX)
      if (read === undefined || read === 'more') continue
      taken += 1
      const byNode = await parser.read(text)
      assert.ok(typeof byNode === 'object', `${JSON.stringify(byNode)}, ${named(seed, text)}`)
      if (byNode.rest !== undefined) upgraded += 1
      const rest = byNode.rest === undefined ? undefined : read.rest
      assert.deepEqual({ ...read.head, rest }, byNode, named(seed, text))
    }
    test.diagnostic(`${taken} taken, ${upgraded} of them as an upgrade by node`)
    if (COUNT >= 1000) assert.ok(taken > COUNT / 5 && upgraded > taken / 2, 'enough is tried')
  })
})
