import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { Pool } from '../../src/balance/pool.ts'
import { Refusal } from '../../src/errors.ts'
import { Probes } from '../../src/handshake/probes.ts'
import type { RequestFacts } from '../../src/request/facts.ts'
import { DEFAULT_TLS } from '../support/endpoint-tls.ts'

/** A pool of one endpoint that was refused; `changed` is its next change. */
function refusedPool(port: number) {
  const { promise: changed, resolve } = Promise.withResolvers<boolean>()
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const
  const pool = new Pool(
    {
      name: 'chat',
      identity: 'chat',
      endpoints: [{ url: 'http://chat', address, tls: false, weight: 1, http2: false }],
      balance: { policy: 'round-robin' },
      health: { setAsideMs: 3_600_000, setAsideMaxMs: 3_600_000, whenAllDown: 'try' },
      tls: DEFAULT_TLS,
      rebalance: undefined,
      proxyProtocol: 'off',
      localAddress: undefined,
      http2Streams: 100,
    },
    {
      builtinAddress: () => address,
      onChange: (_endpoint, up) => {
        if (up) resolve(up)
      },
    },
  )
  const lease = pool.acquire({} as RequestFacts, new Set())
  assert.ok(!(lease instanceof Refusal))
  lease.failed('E_UPSTREAM_REFUSED')
  return { pool, changed }
}

describe('probes', () => {
  it('bring an endpoint back with the first connect that succeeds', async (test) => {
    test.mock.timers.enable({ apis: ['setInterval'] })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { pool, changed } = refusedPool((server.address() as AddressInfo).port)
    const probes = new Probes(() => [pool])
    try {
      const connected = once(server, 'connection')
      test.mock.timers.tick(999)
      assert.equal(pool.endpoints[0]?.up, false)
      test.mock.timers.tick(1)
      const [socket] = await connected
      socket.destroy()
      assert.equal(await changed, true)
    } finally {
      probes.close()
      server.close()
    }
  })

  it('ask nobody any more once they are closed', (test) => {
    test.mock.timers.enable({ apis: ['setInterval'] })
    const { pool } = refusedPool(9)
    let asked = 0
    const probes = new Probes(() => {
      asked += 1
      return [pool]
    })
    probes.close()
    test.mock.timers.tick(5000)
    assert.equal(asked, 0)
  })
})
