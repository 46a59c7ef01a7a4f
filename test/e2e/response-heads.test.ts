import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createServer } from 'node:tls'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const REQUESTS = {
  'a plain request': 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'a handshake': handshake(),
}

interface Given {
  /** Of the informational responses. */
  readonly information: readonly string[]
  readonly statusLine: string
  readonly lines: readonly string[]
  readonly body: string
}

/** What a client gets that sends `request` to an endpoint that answers with `response`. */
async function given(request: string, response: string): Promise<Given> {
  await using upstream = await scriptedUpstream(async (connection) => {
    await connection.head()
    connection.write(response)
  })
  await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
  await using client = await rawClient(gateway.port)
  client.write(request)
  const information: string[] = []
  for (;;) {
    const { status, statusLine, lines, fields } = await client.head()
    if (status >= 200) {
      const body = await client.bytes(Number(fields.get('content-length')))
      return { information, statusLine, lines, body }
    }
    information.push([statusLine, ...lines].join('\n'))
  }
}

const BODY = 'Content-Length: 2\r\n\r\nok'
const taken: [name: string, response: string, lines: readonly string[]][] = [
  [
    'lines that all end in a bare line feed',
    'HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok',
    ['A: b'],
  ],
  ['a folded field', `HTTP/1.1 200 OK\r\nA: b\r\n\t c\r\n d\r\n${BODY}`, ['A: b c d']],
  ['a folded length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok', []],
  ['the same length twice', `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n${BODY}`, ['A: b']],
  ['the same length in a list', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok', []],
  ['a blank before a colon', `HTTP/1.1 200 OK\r\nA : b\r\n${BODY}`, ['A: b']],
  ['no reason', `HTTP/1.1 200\r\n${BODY}`, []],
  ['HTTP/1.2', `HTTP/1.2 200 OK\r\n${BODY}`, []],
]

const refused: [name: string, response: string][] = [
  ['a mix of line ends', `HTTP/1.1 200 OK\r\nA: b\nC: d\r\n${BODY}`],
  ['a mix of line ends before the head is whole', 'HTTP/1.1 200 OK\r\nA: b\nC'],
  ['a status of 099', `HTTP/1.1 099 No\r\n${BODY}`],
  ['a status of 000', `HTTP/1.1 000 No\r\n${BODY}`],
  ['a NUL in a value', `HTTP/1.1 200 OK\r\nA: \0\r\n${BODY}`],
  ['a control character in the reason', `HTTP/1.1 200 O\x01K\r\n${BODY}`],
  ['a line without a colon', `HTTP/1.1 200 OK\r\nA\r\n${BODY}`],
  ['a name that is no token', `HTTP/1.1 200 OK\r\nA b: c\r\n${BODY}`],
  ['lengths that disagree', `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${BODY}`],
  ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n'],
  ['a length and a coding', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${BODY}`],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['another version', `HTTP/2.0 200 OK\r\n${BODY}`],
  ['33 informational responses', 'HTTP/1.1 102 Wait\r\nContent-Length: 1\r\n\r\n'.repeat(33)],
]

for (const [kind, request] of Object.entries(REQUESTS)) {
  describe(`the response to ${kind}`, () => {
    for (const [name, response, lines] of taken) {
      it(`may have ${name}, and is written anew`, async () => {
        const answer = await given(request, response)
        assert.match(answer.statusLine, /^HTTP\/1\.1 200 /)
        assert.deepEqual([...answer.lines].toSorted(), [...lines, 'Content-Length: 2'])
        assert.equal(answer.body, 'ok')
      })
    }

    it('may follow informational ones, which lose framing and hop-by-hop fields', async () => {
      const hints =
        'HTTP/1.1 103 Hints\r\nLink: </a>\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nX-Hop: 1\r\nUpgrade: b\r\n\r\n'
      const { information, body } = await given(request, `${hints}HTTP/1.1 200 OK\r\n${BODY}`)
      assert.deepEqual(information, ['HTTP/1.1 103 Hints\nLink: </a>'])
      assert.equal(body, 'ok')
    })

    for (const status of [600, 799, 999]) {
      it(`goes to the client as it came with a status of ${status}`, async () => {
        const answer = await given(request, `HTTP/1.1 ${status} Odd\r\nA: b\r\n${BODY}`)
        assert.equal(answer.statusLine, `HTTP/1.1 ${status} Odd`)
        assert.equal(answer.body, 'ok')
      })
    }

    for (const [name, response] of refused) {
      it(`is 502 for ${name}`, async () => {
        const answer = await given(request, response)
        assert.match(answer.statusLine, /^HTTP\/1\.1 502 /)
        assert.match(answer.body, /E_UPSTREAM_PROTOCOL/)
      })
    }
  })
}

describe('the responses of an endpoint with TLS', () => {
  it('are read alike, and its connections are used again', async () => {
    const file = (name: string): Buffer =>
      readFileSync(join(import.meta.dirname, '../fixtures/tls', name))
    const server = createServer({ cert: file('cert.pem'), key: file('key.pem') }, (socket) => {
      let asked = 0
      socket.on('error', () => {})
      socket.on('data', () => {
        asked += 1
        socket.write(`HTTP/1.1 200 OK\nA:\n ${asked}\nContent-Length: 2, 2\n\nok`)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    {
      await using gateway = await startTestGateway(
        `upstreams: { a: { endpoints: ["https://127.0.0.1:${port}"], tls: { insecure: true } } }\nroutes: [{ upstream: a }]`,
      )
      await using client = await rawClient(gateway.port)
      for (const [request, line] of [
        [REQUESTS['a plain request'], 'A: 1'],
        [REQUESTS['a plain request'], 'A: 2'],
        [REQUESTS['a handshake'], 'A: 1'],
      ] as const) {
        client.write(request)
        const { lines, body } = await client.answer()
        assert.deepEqual([lines[0], body], [line, 'ok'])
      }
    }
    server.close()
    await once(server, 'close')
  })
})
