/**
 * Random responses of an endpoint, each given to a plain request and to a handshake.
 *
 *     UPGATE_TEST_RESPONSES=100000 node --test test/e2e/response-fuzz.test.ts     more of them
 *     UPGATE_TEST_SEED=7 UPGATE_TEST_RESPONSES=1 ...                              the 7th alone
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { marksIn, randomResponse } from '../support/random-responses.ts'
import { allOf, randomServer, verdictOf } from '../support/random-server.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const FIRST = Number(process.env['UPGATE_TEST_SEED'] ?? 1)
const COUNT = Number(process.env['UPGATE_TEST_RESPONSES'] ?? 2000)
/** Clients at once. */
const LANES = 128
/** A message without content, masked. */
const FRAME = '\x81\x80\0\0\0\0'

describe('random responses', () => {
  it(
    `of an endpoint (${COUNT}) get every client an end and nothing of another's, and mean the same to a plain request and to a handshake`,
    { timeout: Infinity },
    async (test) => {
      await using endpoint = await randomServer(/^GET \/(\d+) /)
      await using granting = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(SWITCHING)
        await connection.bytes(FRAME.length)
        connection.write('\x81\x02ok')
      })
      await using gateway = await startTestGateway(`
routes:
  - { match: { path: /tunnel }, upstream: "${granting.url}" }
  - { upstream: fuzz, timeouts: { idle: 200ms } }
upstreams:
  fuzz: { endpoints: ["${endpoint.url}"], health: { setAside: 0s, setAsideMax: 0s } }
log: { level: error }
`)
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
          const plain = await allOf(
            gateway.port,
            `GET /${seed} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
          )
          const upgrade = await allOf(
            gateway.port,
            handshake(`/${seed}`).replace(': Upgrade', ': Upgrade, close'),
          )
          for (const text of [plain, upgrade]) {
            assert.ok(
              marksIn(text).every((mark) => mark === seed),
              `${told} got ${JSON.stringify(text)}`,
            )
          }
          const [one, other] = [verdictOf(plain), verdictOf(upgrade)]
          // A response that is cut off may take its head with it.
          if (one !== undefined && other !== undefined) assert.equal(one, other, told)
          const key = one?.replace(/^HTTP\/1.1 | [^E]*$/g, '') ?? 'cut off'
          tally.set(key, (tally.get(key) ?? 0) + 1)
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
