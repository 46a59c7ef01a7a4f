import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { dial } from '../../src/handshake/dial.ts'
import { interleaved, Race } from '../../src/handshake/race.ts'

describe('the race of addresses', () => {
  it('alternates families, beginning with that of the first address', () => {
    assert.deepEqual(interleaved(['::1', '::2', '::3', '1.1.1.1', '2.2.2.2']), [
      '::1',
      '1.1.1.1',
      '::2',
      '2.2.2.2',
      '::3',
    ])
    assert.deepEqual(interleaved(['1.1.1.1', '::1', '::2']), ['1.1.1.1', '::1', '::2'])
  })

  it('starts the next address at once when one fails, and goes on with the earlier ones', () => {
    const race = new Race<string>(['192.0.2.1', '192.0.2.2', '192.0.2.3'], 80, undefined)
    const first = race.start()
    const second = race.start()
    assert.ok(first && second)
    assert.equal(race.failed(second, 'ECONNREFUSED', 'second')?.host, '192.0.2.3')
    assert.deepEqual([race.hasNext, race.isLost], [false, false])
  })

  it('is lost when every address has failed', () => {
    const race = new Race<string>(['192.0.2.1', '192.0.2.2'], 80, undefined)
    const first = race.start()
    assert.ok(first)
    const second = race.failed(first, 'ECONNREFUSED', 'one')
    assert.ok(second)
    assert.equal(race.failed(second, 'ETIMEDOUT', 'two'), undefined)
    assert.deepEqual([race.isLost, race.failure], [true, 'one'])
  })
})

describe('a dial to a name of several addresses', () => {
  async function dialTo(hosts: readonly string[], connectTimeoutMs = 5000) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const result = await new Promise<Socket | Refusal>((resolve) => {
      dial(
        { address: { kind: 'tcp', host: 'app.test', port }, tls: undefined },
        {
          connectTimeoutMs,
          lookup: (_host, _options, onDone) =>
            onDone(
              null,
              hosts.map((address) => ({ address })),
            ),
        },
        (outcome) => {
          if (outcome instanceof Socket) outcome.on('error', () => {})
          resolve(outcome)
        },
      )
    })
    server.close()
    return result
  }

  it('goes on at once behind one that refuses', async () => {
    const startMs = performance.now()
    const socket = await dialTo(['127.0.0.9', '127.0.0.1'])
    assert.ok(socket instanceof Socket)
    assert.equal(socket.remoteAddress, '127.0.0.1')
    assert.ok(performance.now() - startMs < 250, 'waits for nothing')
    socket.destroy()
  })

  it('is refused when all refuse', async () => {
    const refusal = await dialTo(['127.0.0.9', '127.0.0.8'])
    assert.ok(refusal instanceof Refusal)
    assert.equal(refusal.code, 'E_UPSTREAM_REFUSED')
  })
})
