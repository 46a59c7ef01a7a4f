/**
 * The reader of request heads against named cases, and against node's parser: what it takes, both read alike.
 *
 *     UPGATE_TEST_HEADS=1000000 node --test test/http1/request-head.test.ts     more random heads
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { duplexPair, type Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { RequestHeadReader, type ReadRequest } from '../../src/http1/request-head.ts'
import { handshake } from '../support/raw-client.ts'
import { COUNT, FIRST_SEED, named, randomRequest } from './random-heads.ts'

const MAX = 16_384

function read(text: string, bytesMax = MAX): ReadRequest | 'more' | Refusal {
  return new RequestHeadReader().push(text, bytesMax)
}

function whole(text: string, bytesMax = MAX): ReadRequest {
  const request = read(text, bytesMax)
  assert.ok(request !== 'more' && !(request instanceof Refusal), JSON.stringify(request))
  return request
}

function codeOf(text: string, bytesMax = MAX): string {
  const request = read(text, bytesMax)
  return request instanceof Refusal ? request.code : JSON.stringify(request)
}

const head = (lines: readonly string[], line = 'GET /a?b=c HTTP/1.1'): string =>
  [line, ...lines, '', ''].join('\r\n')

describe('RequestHeadReader', () => {
  it('reads method, target, version, and the order, case and number of fields', () => {
    const lines = ['hOST: a', 'Upgrade: x', 'A: 1', 'a:\t2 \t', 'A:', 'B: \xe9\xa0']
    assert.deepEqual(whole(`${head(lines)}rest\r\n\r\n`), {
      head: {
        method: 'GET',
        target: '/a?b=c',
        httpVersion: '1.1',
        fields: ['hOST', 'a', 'Upgrade', 'x', 'A', '1', 'a', '2', 'A', '', 'B', '\xe9\xa0'],
      },
      rest: 'rest\r\n\r\n',
    })
  })

  it('reads heads one after the other, each at its border', () => {
    const reader = new RequestHeadReader()
    const first = reader.push(`${head(['A: 1'])}${head(['B: 2'])}`, MAX)
    assert.ok(typeof first === 'object' && 'rest' in first)
    assert.equal(reader.isEmpty, true)
    const second = reader.push(first.rest, MAX)
    assert.ok(typeof second === 'object' && 'rest' in second)
    assert.deepEqual([second.head.fields, second.rest], [['B', '2'], ''])
  })

  it('waits for more at every border at which a head can be split', () => {
    const text = `\r\n${handshake()}`
    for (let end = 1; end < text.length; end += 1) {
      const reader = new RequestHeadReader()
      assert.equal(reader.push(text.slice(0, end), MAX), 'more')
      assert.equal(reader.isEmpty, false)
      assert.deepEqual(reader.push(text.slice(end), MAX), whole(text))
    }
  })

  it('takes a head of as many bytes as it may have, and no more', () => {
    const text = handshake()
    whole(text, text.length)
    whole(`${text}rest`, text.length)
    assert.equal(codeOf(text, text.length - 1), 'E_HEAD_TOO_LARGE')
    assert.equal(codeOf(`\r\n${text}`, text.length), 'E_HEAD_TOO_LARGE')
    assert.equal(codeOf(text.slice(0, -4), text.length - 5), 'E_HEAD_TOO_LARGE')
    assert.equal(read(text.slice(0, -5), text.length - 4), 'more')
    assert.equal(codeOf('\r\n'.repeat(600), 1024), 'E_HEAD_TOO_LARGE')
  })

  for (const [name, line, method, version] of [
    ['a method that nobody knows', 'FOO / HTTP/1.1', 'FOO', '1.1'],
    ['a long method', `${'M'.repeat(200)} / HTTP/1.1`, 'M'.repeat(200), '1.1'],
    ['a method in lower case', 'get / HTTP/1.1', 'get', '1.1'],
    ['HTTP/1.0', 'GET / HTTP/1.0', 'GET', '1.0'],
    ['HTTP/1.2 as HTTP/1.1', 'GET / HTTP/1.2', 'GET', '1.1'],
    ['a target with bytes above ASCII', 'GET /\xe9 HTTP/1.1', 'GET', '1.1'],
    ['an absolute target', 'GET http://a/ HTTP/1.1', 'GET', '1.1'],
    ['the target *', 'OPTIONS * HTTP/1.1', 'OPTIONS', '1.1'],
  ] as const) {
    it(`takes ${name}`, () => {
      const { head: taken } = whole(head(['Host: a'], line))
      assert.deepEqual([taken.method, taken.httpVersion], [method, version])
    })
  }

  for (const [name, text] of [
    ['HTTP/0.9', 'GET /\r\n'],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version in lower case', 'GET / http/1.1\r\n'],
    ['a version with a blank behind it', 'GET / HTTP/1.1 \r\n'],
    ['two blanks in the request line', 'GET  / HTTP/1.1\r\n'],
    ['a tab in the request line', 'GET\t/ HTTP/1.1\r\n'],
    ['a blank in the target', 'GET /a b HTTP/1.1\r\n'],
    ['a control character in the target', 'GET /a\x01'],
    ['a blank in front of the method', ' GET / HTTP/1.1\r\n'],
    ['a method that is no token', 'G(T / HTTP/1.1\r\n'],
    ['a request line that ends in LF', 'GET / HTTP/1.1\n'],
    ['a blank line of LF in front', '\n'],
    ['a field line that ends in LF', 'GET / HTTP/1.1\r\nA: b\nC'],
    ['a CR without LF', 'GET / HTTP/1.1\r\nA: b\rc'],
    ['a NUL', 'GET / HTTP/1.1\r\nA: \0'],
    ['a DEL', 'GET / HTTP/1.1\r\nA: \x7f'],
    ['the first bytes of TLS', '\x16\x03\x01'],
    ['LF where the head ends', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
  ] as const) {
    it(`refuses ${name} as soon as it has come`, () => {
      assert.equal(codeOf(text), 'E_REQUEST_MALFORMED')
    })
  }

  for (const [name, line] of [
    ['a field line without a colon', 'A'],
    ['a field without a name', ': a'],
    ['a blank in front of the colon', 'A : b'],
    ['a folded line', ' c'],
    ['a name that is no token', 'A(: b'],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.equal(codeOf(head(['Host: a', line])), 'E_REQUEST_MALFORMED')
    })
  }

  it('takes as long for a head that comes byte by byte as for its bytes', () => {
    const reader = new RequestHeadReader()
    const text = `GET / HTTP/1.1\r\nA: ${'a'.repeat(60_000)}`
    for (const byte of text) assert.equal(reader.push(byte, 65_536), 'more')
    const last = reader.push('\r\n\r\n', 65_536)
    assert.ok(typeof last === 'object' && 'head' in last)
  })
})

interface Read {
  readonly method: string | undefined
  readonly target: string | undefined
  readonly httpVersion: string
  readonly fields: readonly string[]
}

/** Node's parser, which reads one connection after the other. */
class Parser implements Disposable {
  readonly #server: Server
  #resolve: (read: Read | string) => void = () => {}

  constructor() {
    this.#server = http.createServer({
      maxHeaderSize: MAX,
      requireHostHeader: false,
      insecureHTTPParser: false,
    })
    this.#server.maxHeadersCount = 0
    const onRequest = (request: IncomingMessage, _rest: ServerResponse | Duplex): void => {
      this.#resolve(readBy(request))
    }
    for (const event of ['request', 'upgrade', 'connect', 'checkContinue', 'checkExpectation']) {
      this.#server.on(event, onRequest)
    }
    this.#server.on('clientError', (error: NodeJS.ErrnoException) => this.#resolve(String(error)))
  }

  async read(text: string): Promise<Read | string> {
    const [client, socket] = duplexPair()
    client.on('error', () => {}).resume()
    const result = new Promise<Read | string>((resolve) => {
      this.#resolve = resolve
    })
    socket.on('close', () => this.#resolve('nothing'))
    this.#server.emit('connection', socket)
    client.end(text, 'latin1')
    const byNode = await result
    if (!socket.closed) {
      socket.on('error', () => {}).destroy()
      await once(socket, 'close')
    }
    return byNode
  }

  [Symbol.dispose](): void {
    this.#server.close()
  }
}

function readBy({ method, url: target, httpVersion, rawHeaders: fields }: IncomingMessage): Read {
  return { method, target, httpVersion, fields }
}

/** What node's parser does not take, and every other server does. */
function isBeyondNode({ head: { method, target, fields } }: ReadRequest): boolean {
  return (
    !http.METHODS.includes(method) ||
    /[^!-~]/.test(target) ||
    !/^(?:\/|\*$|https?:)/i.test(target) ||
    fields.some((name) => /^(?:content-length|transfer-encoding)$/i.test(name))
  )
}

describe("RequestHeadReader and node's parser", () => {
  it(`read ${COUNT} random heads alike`, { timeout: Infinity }, async (test) => {
    using parser = new Parser()
    let taken = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed += 1) {
      const text = randomRequest(seed)
      const request = read(text)
      if (request instanceof Refusal || request === 'more' || isBeyondNode(request)) continue
      taken += 1
      assert.deepEqual(await parser.read(text), request.head, named(seed, text))
    }
    test.diagnostic(`${taken} taken`)
    if (COUNT >= 1000) assert.ok(taken > COUNT / 5, 'enough is tried')
  })
})
