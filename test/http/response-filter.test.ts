import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { ResponseError, ResponseFilter } from '../../src/http/response-filter.ts'
import { connectTo, startGateway, startUpstream } from './harness.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A connection whose endpoint says what the test has it say. */
class Connection extends Duplex {
  readonly responses: ResponseFilter
  error: Error | undefined
  text = ''

  constructor(method = 'GET') {
    super({ read: () => {}, write: (_chunk, _encoding, done) => done() })
    this.responses = new ResponseFilter(this)
    this.responses.expect(method)
    this.on('error', (error) => {
      this.error = error
    })
    this.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1')
    })
  }

  say(text: string): boolean {
    return this.push(Buffer.from(text, 'latin1'))
  }

  /** What node's parser gets of `text`, however it is cut into parts. */
  static async read(text: string, method = 'GET'): Promise<string> {
    const read = new Set<string>()
    for (const size of [text.length, 1, 3]) {
      const connection = new Connection(method)
      for (let at = 0; at < text.length; at += size) connection.say(text.slice(at, at + size))
      await new Promise(setImmediate)
      assert.equal(connection.error, undefined)
      read.add(connection.text)
      connection.destroy()
    }
    assert.equal(read.size, 1)
    return [...read].join()
  }

  async failure(): Promise<string> {
    await new Promise(setImmediate)
    assert.ok(this.error instanceof ResponseError)
    return this.error.refusal.code
  }
}

describe('ResponseFilter', () => {
  const passed: [name: string, text: string, expected: string, method?: string][] = [
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', OK],
    ['a folded field', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok', OK],
    [
      'the same length twice',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nok',
      OK,
    ],
    ['a body until the close', 'HTTP/1.0 200\r\n\r\nok', 'HTTP/1.0 200 \r\n\r\nok'],
    [
      'an answer to HEAD',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n',
      'HEAD',
    ],
    [
      'a 204 that tells of a body',
      'HTTP/1.1 204 No\r\nContent-Length: 2\r\nA: b\r\n\r\n',
      'HTTP/1.1 204 No\r\nA: b\r\n\r\n',
    ],
    [
      'a status above 599',
      'HTTP/1.1 999 Hm\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 999 Hm\r\nContent-Length: 0\r\n\r\n',
    ],
    [
      'an informational response with framing',
      `HTTP/1.1 103 Hints\nA: b\nContent-Length: 9\nConnection: c\nC: d\n\n${OK}`,
      `HTTP/1.1 103 Hints\r\nA: b\r\n\r\n${OK}`,
    ],
    [
      'trailers that may not be ones',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nContent-Length: 5\r\nX_Auth_User: c\r\nX-Real-IP: d\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n',
    ],
  ]
  for (const [name, text, expected, method] of passed) {
    it(`writes ${name} as node understands it`, async () => {
      assert.equal(await Connection.read(text, method), expected)
    })
  }

  it('takes extensions out of chunks, and makes one of those that come together', async () => {
    const connection = new Connection()
    connection.say(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a="b"\r\na\r\n02\r\nbc\r\n',
    )
    connection.say('1\r\n')
    connection.say('d\r\n0;x\r\n\r\n')
    await new Promise(setImmediate)
    const body = connection.text.slice(connection.text.indexOf('\r\n\r\n') + 4)
    assert.equal(body, '3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n')
    assert.equal(connection.responses.release(), true)
  })

  const broken: [name: string, text: string, code: string][] = [
    ['mixed line ends', 'HTTP/1.1 200 OK\r\nA: b\nC: d', 'E_UPSTREAM_PROTOCOL'],
    ['a status below 100', 'HTTP/1.1 099 No\r\n\r\n', 'E_UPSTREAM_PROTOCOL'],
    ['an unasked 101', 'HTTP/1.1 101 Switching\r\n\r\n', 'E_UPSTREAM_SWITCH'],
    [
      'a broken chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx',
      'E_UPSTREAM_PROTOCOL',
    ],
    [
      'a trailer that is no field',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na b\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    ['33 informational responses', 'HTTP/1.1 102 Wait\r\n\r\n'.repeat(33), 'E_UPSTREAM_PROTOCOL'],
  ]
  for (const [name, text, code] of broken) {
    it(`destroys the connection for ${name}`, async () => {
      const connection = new Connection()
      connection.say(text)
      assert.equal(await connection.failure(), code)
      assert.equal(connection.responses.release(), false)
    })
  }

  it('gives a connection back that was not used, and one whose response is whole', () => {
    const connection = new Connection()
    assert.equal(connection.responses.release(), true)
    connection.responses.expect('GET')
    connection.say(OK)
    assert.equal(connection.responses.release(), true)
    connection.responses.expect('GET')
    connection.say('H')
    assert.equal(connection.responses.release(), false)
  })

  for (const [name, parts] of [
    ['with it', [`${OK}X`]],
    ['behind it', [OK, 'X']],
  ] as const) {
    it(`hands a response on without what comes ${name}, and does not give its connection back`, async () => {
      const connection = new Connection()
      for (const part of parts) connection.say(part)
      await new Promise(setImmediate)
      assert.equal(connection.text, OK)
      assert.equal(connection.responses.release(), false)
    })
  }

  it('closes an idle connection that says something', async () => {
    const connection = new Connection()
    connection.say(OK)
    connection.responses.release()
    assert.equal(connection.say(OK), false)
    assert.equal(await connection.failure(), 'E_UPSTREAM_PROTOCOL')
    assert.equal(connection.text, OK)
  })

  it('says when its reader has enough', () => {
    const connection = new Connection()
    connection.pause()
    assert.equal(connection.say('HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n'), true)
    assert.equal(connection.say('a'.repeat(100_000)), false)
  })
})

describe('a connection behind it', () => {
  it('carries no second request when something came behind the response', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const first = await upstream.next()
    await first.head()
    first.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled`)
    await client.until('ok')
    await first.rest()
    client.send(GET)
    const next = await upstream.next()
    await next.head()
    next.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext')
    assert.doesNotMatch(await client.until('next'), /smuggled/)
  })

  it('is closed when it says something while it is idle', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const first = await upstream.next()
    await first.head()
    first.send(OK)
    await client.until('ok')
    await gateway.answered()
    first.send('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n')
    await first.rest()
    client.send(GET)
    const next = await upstream.next()
    await next.head()
    next.send(OK)
    assert.match(await client.until('ok'), /^HTTP\/1.1 200 OK/)
  })
})
