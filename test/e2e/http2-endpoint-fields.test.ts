/** What reaches an endpoint over HTTP/2 of what clients send, and what does not: nobody gets past the gateway by the change of the version. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { http2Client } from '../support/http2-client.ts'
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  framePeer,
  HEADERS,
  RST_STREAM,
} from '../support/http2-frames.ts'
import { http2Endpoint, type Http2Endpoint } from '../support/http2-server.ts'
import { listenerOf } from '../support/http-versions.ts'
import { handshake, rawClient, WEBSOCKET_KEY } from '../support/raw-client.ts'

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly endpoint: Http2Endpoint
}

async function stage(more = ''): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const endpoint = stack.use(await http2Endpoint())
  const gateway = stack.use(
    await startTestGateway(`${listenerOf(false)}
upstreams: { app: { endpoints: [{ url: "${endpoint.url}", http2: true }] } }
routes: [{ name: app, upstream: app${more} }]`),
  )
  const moved = stack.move()
  return { gateway, endpoint, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

/** The fields of the newest stream, and those that have a name. */
class Seen {
  readonly pairs: (readonly [name: string, value: string])[] = []

  constructor({ streams }: Http2Endpoint) {
    const { fields = [] } = streams.at(-1) ?? {}
    for (let at = 0; at < fields.length; at += 2) {
      this.pairs.push([fields[at] as string, fields[at + 1] as string])
    }
  }

  of(name: string): string[] {
    return this.pairs.flatMap(([known, value]) => (known === name ? [value] : []))
  }
}

/** What is asked of both: a plain request, and a handshake. */
const ASKINGS = [
  {
    name: 'a plain request',
    yes: 200,
    head: (lines: readonly string[], target = '/a') =>
      [`GET ${target} HTTP/1.1`, 'Host: gateway.test', ...lines, '\r\n'].join('\r\n'),
  },
  {
    name: 'a handshake',
    yes: 101,
    head: (lines: readonly string[], target = '/a') => handshake(target, lines),
  },
]

for (const { name, yes, head } of ASKINGS) {
  describe(`${name} of HTTP/1.1 that goes to an endpoint by HTTP/2`, () => {
    it('keeps its fields, their order and their bytes, in lower case', async () => {
      await using on = await stage()
      await using client = await rawClient(on.gateway.port)
      client.write(
        head(['X-One: a', 'X-Bytes: \x80\xe9\xff\tz', 'X-One: b', 'X-Empty:', 'Cookie: a=1; b=2']),
      )
      assert.equal((await client.head()).status, yes)
      const seen = new Seen(on.endpoint)
      const own = seen.pairs.filter(([known]) => /^(?:x-(?:one|bytes|empty)|cookie)$/.test(known))
      assert.deepEqual(own, [
        ['x-one', 'a'],
        ['x-bytes', '\x80\xe9\xff\tz'],
        ['x-one', 'b'],
        ['x-empty', ''],
        ['cookie', 'a=1; b=2'],
      ])
      assert.deepEqual(seen.of(':path'), ['/a'])
      assert.deepEqual(seen.of(':authority'), ['gateway.test'])
      assert.deepEqual(seen.of('host'), [])
      assert.deepEqual(seen.of('x-forwarded-for'), ['127.0.0.1'])
    })

    it('leaves behind what is of the connection, and of other protocols', async () => {
      await using on = await stage()
      await using client = await rawClient(on.gateway.port)
      const lines = [
        'TE: gzip, trailers;q=0.5',
        'Connection: X-Hop, TE, HTTP2-Settings',
        'X-Hop: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
        'X-Auth-User: root',
      ]
      client.write(head(lines))
      assert.equal((await client.head()).status, yes)
      const seen = new Seen(on.endpoint)
      for (const gone of [
        'connection',
        'x-hop',
        'keep-alive',
        'proxy-connection',
        'http2-settings',
        'x-auth-user',
        'upgrade',
        'transfer-encoding',
        'sec-websocket-key',
      ]) {
        assert.deepEqual(seen.of(gone), [], gone)
      }
      assert.deepEqual(seen.of('te'), yes === 200 ? ['trailers'] : [])
      assert.deepEqual(seen.of(':protocol'), yes === 200 ? [] : ['websocket'])
      assert.deepEqual(seen.of(':method'), [yes === 200 ? 'GET' : 'CONNECT'])
    })

    it('with an empty body is one without', async () => {
      await using on = await stage()
      await using client = await rawClient(on.gateway.port)
      client.write(head(['Content-Length: 0']))
      assert.equal((await client.head()).status, yes)
    })

    it('cannot bring fields or a path of its own making', async () => {
      await using on = await stage()
      for (const [what, request] of [
        ['a pseudo-header field', head([':path: /admin'])],
        ['another one', head([':protocol: websocket'])],
        ['a method', head([':method: DELETE'])],
        ['a NUL', head(['X-Odd: a\0b'])],
        ['a bare CR', head(['X-Odd: a\rX-More: b'])],
        ['a control', head(['X-Odd: a\x01b'])],
        ['DEL', head(['X-Odd: a\x7fb'])],
        ['a folded line', head(['X-Odd: a', ' b'])],
        ['a name with a blank', head(['X-Odd : a'])],
        ['a name with a byte', head(['X-\xe9: a'])],
        ['two Hosts', head(['Host: other.test'])],
        ['a target with a blank', head([], '/a b')],
        ['a target with a control', head([], '/a\x01b')],
        ['both framings', head(['Content-Length: 4', 'Transfer-Encoding: chunked'])],
        ['two lengths', head(['Content-Length: 4', 'Content-Length: 5'])],
        ['an odd coding', head(['Transfer-Encoding: chunked, identity'])],
      ] as const) {
        await using client = await rawClient(on.gateway.port)
        client.write(`${request}0\r\n\r\n`)
        const { status } = await client.head()
        assert.equal(status, 400, what)
      }
      assert.equal(on.endpoint.streams.length, 0)
    })
  })
}

describe('the target of a request that goes to an endpoint by HTTP/2', () => {
  it('is the path alone, whatever form it had', async () => {
    await using on = await stage()
    for (const [target, path, authority] of [
      ['/a%20b/%2e?q=%0d%0a', '/a%20b/%2e?q=%0d%0a', 'gateway.test'],
      ['http://other.test:81/b?c', '/b?c', 'other.test:81'],
      ['//evil.test/x', '//evil.test/x', 'gateway.test'],
    ] as const) {
      await using client = await rawClient(on.gateway.port)
      client.write(`GET ${target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n`)
      assert.equal((await client.head()).status, 200, target)
      const seen = new Seen(on.endpoint)
      assert.deepEqual([seen.of(':path'), seen.of(':authority')], [[path], [authority]])
    }
  })
})

describe('a request of HTTP/2 that goes to an endpoint by HTTP/2', () => {
  const PSEUDO = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'gateway.test'],
    [':path', '/'],
  ] as const

  for (const [what, fields] of [
    ['connection', [...PSEUDO, ['connection', 'x-hop']]],
    ['transfer-encoding', [...PSEUDO, ['transfer-encoding', 'chunked']]],
    ['upgrade', [...PSEUDO, ['upgrade', 'h2c']]],
    ['keep-alive', [...PSEUDO, ['keep-alive', 'timeout=5']]],
    ['proxy-connection', [...PSEUDO, ['proxy-connection', 'close']]],
    ['te: gzip', [...PSEUDO, ['te', 'gzip']]],
    ['an upper-case name', [...PSEUDO, ['X-Upper', '1']]],
    ['two paths', [...PSEUDO, [':path', '/admin']]],
    ['a path behind a field', [PSEUDO[0], PSEUDO[1], PSEUDO[2], ['x-a', 'b'], PSEUDO[3]]],
    ['an unknown pseudo-header field', [...PSEUDO, [':version', 'HTTP/1.1']]],
    ['a :protocol without CONNECT', [...PSEUDO, [':protocol', 'websocket']]],
    [
      'a path with a request in it',
      [...PSEUDO.slice(0, 3), [':path', '/ HTTP/1.1\r\nHost: a\r\n\r\nGET /b']],
    ],
    ['a path with a blank', [...PSEUDO.slice(0, 3), [':path', '/a b']]],
    ['a path without a slash', [...PSEUDO.slice(0, 3), [':path', 'admin']]],
    [
      'an authority with a path',
      [...PSEUDO.filter(([name]) => name !== ':authority'), [':authority', 'a/b']],
    ],
    ['a Host that is another one', [...PSEUDO, ['host', 'other.test']]],
    ['a length that is none', [...PSEUDO, ['content-length', '-1']]],
    ['a length without a body', [...PSEUDO, ['content-length', '5']]],
  ] as [string, readonly (readonly [string, string])[]][]) {
    it(`does not go there with ${what}`, async () => {
      await using on = await stage()
      await using peer = await framePeer(on.gateway.port)
      peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, fieldBlock(fields)))
      const answered = await peer.find(
        ({ type, stream }) => stream === 1 && (type === HEADERS || type === RST_STREAM),
      )
      assert.ok(answered !== undefined)
      await using client = await http2Client(`http://127.0.0.1:${on.gateway.port}`)
      assert.equal((await client.ask('/after')).status, 200)
      assert.deepEqual(
        on.endpoint.streams.map(({ headers }) => headers[':path']),
        ['/after'],
      )
    })
  }

  for (const [name, value] of [
    ['http2-settings', 'AAMAAABkAARAAAAAAAIAAAAA'],
    ['x\r\nx-more', '1'],
    ['x-odd', 'a\r\nx-more: b'],
    ['x-odd', 'a\0b'],
  ] as const) {
    it(`goes there without ${JSON.stringify(`${name}: ${value}`)}`, async () => {
      await using on = await stage()
      await using peer = await framePeer(on.gateway.port)
      const fields = [...PSEUDO, [name, value], ['x-kept', '1']] as const
      peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, fieldBlock(fields)))
      assert.ok((await peer.find(({ type }) => type === HEADERS)) !== undefined)
      const seen = new Seen(on.endpoint)
      assert.deepEqual([seen.of(name), seen.of('x-more'), seen.of('x-kept')], [[], [], ['1']])
      assert.ok(seen.pairs.flat().every((text) => !/[\r\n\0]/.test(text)))
    })
  }

  it('keeps its bytes, and not what only the gateway may say', async () => {
    await using on = await stage()
    await using client = await http2Client(`http://127.0.0.1:${on.gateway.port}`)
    const headers = { te: 'trailers', 'x-auth-user': 'root', 'x-bytes': '\x80\xff' }
    assert.equal((await client.ask('/', { headers })).status, 200)
    const seen = new Seen(on.endpoint)
    assert.deepEqual(
      [seen.of('x-auth-user'), seen.of('te'), seen.of('x-bytes')],
      [[], ['trailers'], ['\x80\xff']],
    )
    const stream = client.connect('/', { 'sec-websocket-key': WEBSOCKET_KEY, ...headers })
    await once(stream, 'response')
    const chat = new Seen(on.endpoint)
    assert.deepEqual(
      [chat.of(':protocol'), chat.of('sec-websocket-key'), chat.of('sec-websocket-version')],
      [['websocket'], [], ['13']],
    )
    assert.deepEqual(chat.of('x-auth-user'), [])
  })
})
