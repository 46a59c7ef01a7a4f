/** A body in a WebSocket handshake is a body, to both sides: never a request behind it, and never a part of the tunnel. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: gateway.test\r\n\r\n'

const framings = [
  ['a length', `Content-Length: ${SMUGGLED.length}`, SMUGGLED],
  [
    'chunks',
    'Transfer-Encoding: chunked',
    `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  ],
] as const

interface Seeing extends ScriptedUpstream {
  /** What came over each connection. */
  readonly seen: string[]
}

/** Answers the first head of each connection, once its body is there. */
async function seeing(answer: string, bodyBytes: number): Promise<Seeing> {
  const seen: string[] = []
  const upstream = await scriptedUpstream(async (connection) => {
    const { statusLine, fields } = await connection.head()
    const body = fields.has('upgrade') ? await connection.bytes(bodyBytes) : ''
    connection.write(
      fields.has('upgrade') ? answer : 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain',
    )
    const index = seen.push(`${statusLine}|${body}|`) - 1
    while (await connection.more()) seen[index] += await connection.bytes(1)
    connection.socket.end()
  })
  return Object.assign(upstream, { seen })
}

function routes(upstream: ScriptedUpstream, auth = ''): string {
  return `${auth}routes:
  - { match: { path: /admin }, allow: [192.0.2.1], upstream: "${upstream.url}" }
  - { match: { path: /ws }, ${auth === '' ? '' : 'auth: [robots], '}upstream: "${upstream.url}" }`
}

/** What the gateway has taken for requests. */
function paths(gateway: TestGateway): unknown[] {
  return gateway.logs.flatMap(({ msg, path }) =>
    msg === 'request' || msg === 'tunnel open' ? [path] : [],
  )
}

for (const [framing, line, body] of framings) {
  describe(`a request in the body of a handshake, framed by ${framing}`, () => {
    it('stays a body where the endpoint declines', async () => {
      const declined = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno'
      await using upstream = await seeing(declined, body.length)
      await using gateway = await startTestGateway(routes(upstream))
      await using client = await rawClient(gateway.port)
      client.write(handshake('/ws', [line]) + body)
      assert.equal((await client.answer()).body, 'no')
      client.socket.end()
      assert.equal(await client.rest(), '')
      await gateway.log('request', { path: '/ws' })
      assert.deepEqual(paths(gateway), ['/ws'])
      assert.deepEqual(upstream.seen, [`GET /ws HTTP/1.1|${body}|`])
    })

    it('stays a body where the endpoint switches, and is no part of the tunnel', async () => {
      await using upstream = await seeing(SWITCHING, body.length)
      await using gateway = await startTestGateway(routes(upstream))
      await using client = await rawClient(gateway.port)
      client.write(`${handshake('/ws', [line])}${body}\x81\x80abcd`)
      assert.equal((await client.head()).status, 101)
      client.socket.end()
      await gateway.log('tunnel close')
      await upstream.quiet()
      assert.deepEqual(upstream.seen, [`GET /ws HTTP/1.1|${body}|\x81\x80abcd`])
      assert.deepEqual(paths(gateway), ['/ws'])
    })

    it('is dropped where the gateway refuses', async () => {
      await using upstream = await seeing('', 0)
      const auth = 'auth: { robots: { type: apiKey, keys: ./keys } }\n'
      await using gateway = await startTestGateway(routes(upstream, auth), {
        keys: `ci:${'0'.repeat(64)}\n`,
      })
      await using client = await rawClient(gateway.port)
      client.write(handshake('/ws', [line]) + body)
      assert.equal((await client.answer()).status, 401)
      await gateway.log('request', { status: 401 })
      client.socket.end()
      assert.equal(await client.rest(), '')
      assert.deepEqual(paths(gateway), ['/ws'])
      assert.equal(upstream.connections, 0)
    })
  })
}
