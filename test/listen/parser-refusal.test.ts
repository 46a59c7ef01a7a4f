import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { createHttpServer } from '../../src/listen/http-server.ts'
import { parserRefusal } from '../../src/listen/parser-refusal.ts'
import { socketPair } from '../support/socket-pair.ts'

const LIMITS = { headBytesMax: 1000, headTimeoutMs: 50, keepAliveTimeoutMs: 5000 }

/** What the parser says of a connection to which `act` happens. */
async function errorOf(act: (peer: Socket) => void): Promise<Error> {
  await using pair = await socketPair()
  const server = createHttpServer(LIMITS, () => false)
  server.emit('connection', pair.socket)
  pair.socket.resume()
  act(pair.peer)
  const [error] = (await once(server, 'clientError')) as [Error]
  server.close()
  return error
}

describe('parserRefusal', () => {
  const cases: readonly [string, string, string, string][] = [
    [
      'a head beyond its limit',
      `GET /${'a'.repeat(2000)}`,
      'E_HEAD_TOO_LARGE',
      'HPE_HEADER_OVERFLOW',
    ],
    ['a head that is not whole in time', 'GET /', 'E_HEAD_TIMEOUT', 'ERR_HTTP_REQUEST_TIMEOUT'],
    ['what is no HTTP', '\x16\x03\x01', 'E_REQUEST_MALFORMED', 'HPE_INVALID_METHOD'],
    [
      'the preface of HTTP/2',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'E_REQUEST_MALFORMED',
      'HTTP/2 with prior knowledge',
    ],
  ]
  for (const [what, bytes, code, cause] of cases) {
    it(`says ${code} of ${what}`, async () => {
      const refusal = parserRefusal(await errorOf((peer) => peer.write(bytes, 'latin1')))
      assert.deepEqual([refusal?.code, refusal?.details.cause], [code, cause])
    })
  }

  it('has nothing to say of a connection that broke', async () => {
    const error = await errorOf((peer) => peer.resetAndDestroy())
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
    assert.equal(parserRefusal(error), undefined)
    assert.equal(parserRefusal(new Error('without a code')), undefined)
  })
})
