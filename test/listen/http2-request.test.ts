import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { readStreamRequest, type StreamRequest } from '../../src/listen/http2-request.ts'

const PSEUDO = [':method', 'POST', ':scheme', 'https', ':authority', 'a.test', ':path', '/p?q']
const CONNECT = [
  ':method',
  'CONNECT',
  ':protocol',
  'websocket',
  ':scheme',
  'https',
  ':path',
  '/ws',
  ':authority',
  'a.test',
]

function read(fields: readonly string[], ended = false): StreamRequest {
  const request = readStreamRequest(fields, ended)
  assert.ok(typeof request === 'object' && !(request instanceof Refusal), JSON.stringify(request))
  return request
}

function linesOf({ head }: StreamRequest): string[] {
  assert.ok(head.endsWith('\r\n\r\n'))
  return head.slice(0, -4).split('\r\n')
}

describe('an HTTP/2 request', () => {
  it('is a head of HTTP/1.1', () => {
    const request = read([...PSEUDO, 'accept', '*/*', 'x-a', '1', 'x-a', '2'], true)
    assert.deepEqual(linesOf(request), [
      'POST /p?q HTTP/1.1',
      'Host: a.test',
      'Connection: close',
      'accept: */*',
      'x-a: 1',
      'x-a: 2',
    ])
    assert.deepEqual([request.method, request.connects], ['POST', false])
  })

  it('has its cookies in one line, in the place of the first', () => {
    const fields = [...PSEUDO, 'cookie', 'a=1', 'x-a', 'cookie', 'cookie', 'b=2', 'cookie', 'c=3']
    assert.deepEqual(linesOf(read(fields, true)).slice(3), ['cookie: a=1; b=2; c=3', 'x-a: cookie'])
  })

  it('has a body by its length, in chunks without one, and none when the stream has ended', () => {
    assert.deepEqual(read([...PSEUDO, 'content-length', '7']).body, { kind: 'length', bytes: 7 })
    const chunked = read(PSEUDO)
    assert.deepEqual(chunked.body, { kind: 'chunked' })
    assert.ok(linesOf(chunked).includes('Transfer-Encoding: chunked'))
    assert.deepEqual(read(PSEUDO, true).body, { kind: 'none' })
    assert.deepEqual(read([...PSEUDO, 'content-length', '0'], true).body, { kind: 'none' })
  })

  it('has the host of either field, and two where they differ', () => {
    const hosts = (fields: readonly string[]): string[] =>
      linesOf(read(fields, true)).filter((line) => /^host:/i.test(line))
    assert.deepEqual(hosts([...PSEUDO, 'host', 'A.test']), ['Host: a.test'])
    assert.deepEqual(hosts([...PSEUDO, 'host', 'b.test']), ['Host: a.test', 'Host: b.test'])
    const bare = [':method', 'GET', ':scheme', 'https', ':path', '/']
    assert.deepEqual(hosts([...bare, 'host', 'b.test']), ['Host: b.test'])
    assert.deepEqual(hosts(bare), [])
  })

  it('is an upgrade when it is an extended CONNECT to websocket', () => {
    const fields = [...CONNECT, 'sec-websocket-key', 'theirs', 'sec-websocket-version', '13']
    const [one, two] = [read(fields), read(fields)].map(linesOf) as [string[], string[]]
    assert.deepEqual(one.slice(0, 4), [
      'GET /ws HTTP/1.1',
      'Host: a.test',
      'Connection: Upgrade, close',
      'Upgrade: websocket',
    ])
    assert.match(one[4] as string, /^Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==$/)
    assert.notEqual(one[4], two[4])
    assert.deepEqual(one.slice(5), ['sec-websocket-version: 13'])
    assert.equal(read(fields).connects, true)
  })

  it('is refused when it is another CONNECT', () => {
    const codeOf = (fields: readonly string[]): string => {
      const refusal = readStreamRequest(fields, false)
      assert.ok(refusal instanceof Refusal)
      return refusal.code
    }
    assert.equal(codeOf([':method', 'CONNECT', ':authority', 'a:1']), 'E_METHOD_DENIED')
    assert.equal(codeOf(CONNECT.with(3, 'connect-udp')), 'E_PROTOCOL_UNSERVED')
  })

  for (const { name, fields, ended = true } of [
    { name: 'a line end in a value', fields: [...PSEUDO, 'x-a', 'b\r\nx-b: c'] },
    { name: 'a NUL in a value', fields: [...PSEUDO, 'x-a', '\0'] },
    { name: 'a colon in a name', fields: [...PSEUDO, 'x-a:b', 'c'] },
    { name: 'a capital in a name', fields: [...PSEUDO, 'X-a', 'b'] },
    { name: 'an empty name', fields: [...PSEUDO, '', 'b'] },
    { name: 'Connection', fields: [...PSEUDO, 'connection', 'upgrade'] },
    { name: 'Keep-Alive', fields: [...PSEUDO, 'keep-alive', '1'] },
    { name: 'Proxy-Connection', fields: [...PSEUDO, 'proxy-connection', 'close'] },
    {
      name: 'Transfer-Encoding',
      fields: [...PSEUDO, 'transfer-encoding', 'chunked'],
      ended: false,
    },
    { name: 'Upgrade', fields: [...PSEUDO, 'upgrade', 'websocket'] },
    { name: 'TE of more than trailers', fields: [...PSEUDO, 'te', 'gzip'] },
    { name: 'a pseudo field behind others', fields: ['x-a', 'b', ...PSEUDO] },
    { name: 'a pseudo field twice', fields: [...PSEUDO, ':path', '/other'] },
    { name: 'no path', fields: PSEUDO.slice(0, -2) },
    { name: 'a path with a blank', fields: PSEUDO.with(7, '/a b') },
    { name: 'a path with a line end', fields: PSEUDO.with(7, '/ HTTP/1.1\r\nx-b: c') },
    { name: 'a path that is a URL', fields: PSEUDO.with(7, 'http://b.test/') },
    { name: 'a method that is none', fields: PSEUDO.with(1, 'GET / HTTP/1.1\r\n') },
    { name: 'an authority with a line end', fields: PSEUDO.with(5, 'a\r\nx-b: c') },
    {
      name: 'two lengths',
      fields: [...PSEUDO, 'content-length', '1', 'content-length', '1'],
      ended: false,
    },
    { name: 'a length that is none', fields: [...PSEUDO, 'content-length', '+1'], ended: false },
    { name: 'a length and no body', fields: [...PSEUDO, 'content-length', '1'] },
    { name: 'a protocol of another method', fields: [...PSEUDO, ':protocol', 'websocket'] },
    { name: 'a CONNECT with a length', fields: [...CONNECT, 'content-length', '1'], ended: false },
  ]) {
    it(`is malformed with ${name}`, () => {
      assert.equal(readStreamRequest(fields, ended), 'malformed')
    })
  }
})
