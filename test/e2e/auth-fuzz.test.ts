/**
 * Random responses of an authorization server, to questions about plain requests and handshakes over HTTP/1.1 and HTTP/2.
 *
 *     UPGATE_TEST_RESPONSES=100000 node --test test/e2e/auth-fuzz.test.ts     more of them
 *     UPGATE_TEST_SEED=7 UPGATE_TEST_RESPONSES=1 ...                          the 7th alone
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { httpFixture } from '../auth/http-fixture.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { answerOf, http2Client, type Http2Client } from '../support/http2-client.ts'
import { marksIn, randomResponse } from '../support/random-responses.ts'
import { allOf, randomServer, verdictOf } from '../support/random-server.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const FIRST = Number(process.env['UPGATE_TEST_SEED'] ?? 1)
const COUNT = Number(process.env['UPGATE_TEST_RESPONSES'] ?? 1000)
/** Clients at once: fewer questions than one client may have under way. */
const LANES = 12
/** A server that says too little is late, and on a busy machine others are: that is no reading of a response. */
const LATE = 'E_AUTH_TIMEOUT'
/** A message without content, masked. */
const FRAME = '\x81\x80\0\0\0\0'

interface Got {
  readonly status: number
  readonly code: string
  readonly text: string
}

/** What one client gets for each way to ask. */
async function askAll(gateway: TestGateway, client: Http2Client, path: string): Promise<Got[]> {
  const plain = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
  const upgrade = handshake(path).replace(': Upgrade', ': Upgrade, close')
  const stream = client.connect(path)
  stream.on('response', () => stream.end())
  const [asked, connected, ...texts] = await Promise.all([
    client.ask(path),
    answerOf(stream),
    allOf(gateway.port, plain),
    allOf(gateway.port, upgrade),
  ])
  const overHttp2 = [asked, connected].map(({ status, body }) => {
    const text = body.toString('latin1')
    return { status, code: codeIn(text), text }
  })
  return [...texts.map((text) => ({ ...ofHttp1(text), text })), ...overHttp2]
}

function ofHttp1(text: string): Omit<Got, 'text'> {
  return { status: Number(verdictOf(text)?.split(' ')[1] ?? 0), code: codeIn(text) }
}

function codeIn(text: string): string {
  return /"code":"(\w+)"/.exec(text)?.[1] ?? ''
}

describe('random responses of an authorization server', () => {
  it(
    `get every client a response, the same over HTTP/1.1 and HTTP/2 (${COUNT} of them, each to four questions)`,
    { timeout: Infinity },
    async (test) => {
      await using server = await randomServer(/^x-forwarded-uri: \/(\d+)\r$/im)
      await using granting = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(SWITCHING)
        await connection.bytes(FRAME.length)
        connection.write('\x81\x02ok')
      })
      await using welcoming = await httpFixture((_, response) => response.writeHead(418).end())
      await using gateway = await startTestGateway(`
listeners: [{ address: "127.0.0.1:0", h2c: true }]
auth: { portal: { type: forward, url: "${server.url}", timeout: 1s } }
routes:
  - { match: { path: /tunnel }, upstream: "${granting.url}" }
  - { auth: [portal], upstream: "${welcoming.url}" }
log: { level: error }
`)
      await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
      await using tunnel = await rawClient(gateway.port)
      tunnel.write(handshake('/tunnel'))
      assert.equal((await tunnel.head()).status, 101)
      const tally = new Map<string, number>()
      let next = FIRST
      const lane = async (): Promise<void> => {
        while (next < FIRST + COUNT) {
          const seed = next
          next += 1
          const told = `UPGATE_TEST_SEED=${seed} UPGATE_TEST_RESPONSES=1: ${JSON.stringify(randomResponse(seed))}`
          const asked = await askAll(gateway, client, `/${seed}`)
          for (const { status, text } of asked) {
            assert.ok(status >= 200, `${told} got ${JSON.stringify(text)}`)
          }
          const all = asked.filter(({ code }) => code !== LATE)
          const [first] = all.map(({ status, code }) => `${status > 599 ? 502 : status} ${code}`)
          for (const { status, code, text } of all) {
            assert.equal(`${status > 599 ? 502 : status} ${code}`, first, told)
            assert.ok(
              marksIn(text).every((mark) => mark === seed),
              `${told} got ${JSON.stringify(text)}`,
            )
          }
          tally.set(String(first), (tally.get(String(first)) ?? 0) + 1)
        }
      }
      await Promise.all(Array.from({ length: LANES }, lane))
      test.diagnostic(
        JSON.stringify([...tally].toSorted(([, one], [, other]) => other - one).slice(0, 8)),
      )
      tunnel.write(FRAME)
      assert.equal(await tunnel.bytes(4), '\x81\x02ok')
    },
  )
})
