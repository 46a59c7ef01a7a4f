/**
 * The reader of answer heads against the parser of node's client: what both take, both read alike.
 *
 *     UPGATE_TEST_HEADS=1000000 node --test test/handshake/response-head-parser.test.ts     more random heads
 */

import assert from 'node:assert/strict'
import http from 'node:http'
import { duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import { parseResponseHead, type ResponseHead } from '../../src/http1/response-head.ts'
import { COUNT, FIRST_SEED, named, randomAnswer } from './random-heads.ts'

type Answer = Pick<
  http.IncomingMessage,
  'httpVersionMinor' | 'statusCode' | 'statusMessage' | 'rawHeaders'
>

/** As node's client reads it; undefined when it refuses. */
function readByNode(text: string): Promise<ResponseHead | undefined> {
  const [upstream, socket] = duplexPair()
  upstream.on('error', () => {}).resume()
  return new Promise((resolve) => {
    const request = http.request({ createConnection: () => socket })
    const onAnswer = (answer: Answer): void => {
      resolve({
        minorVersion: answer.httpVersionMinor as 0 | 1,
        status: answer.statusCode as number,
        reason: answer.statusMessage as string,
        fields: answer.rawHeaders,
      })
      request.destroy()
    }
    request.on('response', onAnswer)
    request.on('upgrade', onAnswer)
    request.on('information', onAnswer)
    request.on('error', () => resolve(undefined))
    request.end()
    upstream.end(text, 'latin1')
  })
}

describe("parseResponseHead and the parser of node's client", () => {
  it(`read ${COUNT} random heads alike`, { timeout: Infinity }, async (test) => {
    let taken = 0
    let both = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed += 1) {
      const text = randomAnswer(seed)
      const parsed = parseResponseHead(text, 16_384)
      if (parsed === undefined || 'wrong' in parsed) continue
      taken += 1
      const byNode = await readByNode(text)
      if (byNode === undefined) continue
      both += 1
      assert.deepEqual(parsed.head, byNode, named(seed, text))
    }
    test.diagnostic(`${taken} taken, ${both} of them by node as well`)
    if (COUNT >= 1000) assert.ok(taken > COUNT / 5 && both > taken / 2, 'enough is tried')
  })
})
