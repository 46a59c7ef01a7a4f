import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AdminConfig } from '../../src/config/config.ts'
import { AdminDoor } from '../../src/reload/admin-door.ts'
import { FakeGateway, LOOPBACK } from '../admin/fake-api.ts'
import { freePort } from '../support/free-port.ts'
import { rawClient } from '../support/raw-client.ts'

function opened() {
  const door = new AdminDoor({
    metrics: async () => 'upgate_up 1\n',
    contentType: 'text/plain',
    isReady: () => true,
    api: new FakeGateway(),
  })
  return { door, [Symbol.asyncDispose]: () => door.close() }
}

async function at(): Promise<AdminConfig & { readonly address: { readonly port: number } }> {
  const address = { kind: 'tcp', host: '127.0.0.1', port: await freePort() } as const
  return { ...LOOPBACK, address }
}

async function isOpen(port: number, token = ''): Promise<boolean> {
  const headers = { Authorization: `Bearer ${token}`, Connection: 'close' }
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers }).catch(() => undefined)
  return answer?.status === 200
}

describe('AdminDoor', () => {
  it('opens when a change is made, and not before it is said to have an address', async () => {
    await using admin = opened()
    const config = await at()
    const change = await admin.door.prepare(config)
    assert.deepEqual(change.added, config.address)
    assert.equal(admin.door.address, undefined)
    change.apply()
    assert.deepEqual(admin.door.address, config.address)
    assert.equal(await isOpen(config.address.port), true)
  })

  it('is closed again by a change that is not made', async () => {
    await using admin = opened()
    const config = await at()
    const change = await admin.door.prepare(config)
    change.cancel()
    assert.equal(await isOpen(config.address.port), false)
    assert.equal(admin.door.address, undefined)
  })

  it('changes in place where the address is the same', async () => {
    await using admin = opened()
    const config = await at()
    const start = await admin.door.prepare(config)
    start.apply()
    const change = await admin.door.prepare({ ...config, token: 'a-token-of-some-length' })
    assert.equal(change.added, undefined)
    change.apply()
    assert.equal(await isOpen(config.address.port), false)
    assert.equal(await isOpen(config.address.port, 'a-token-of-some-length'), true)
  })

  it('is at both addresses until a move is made, and for a last answer at the old one', async () => {
    await using admin = opened()
    const [before, after] = [await at(), await at()]
    const start = await admin.door.prepare(before)
    start.apply()
    await using client = await rawClient(before.address.port)
    const move = await admin.door.prepare(after)
    assert.deepEqual(admin.door.address, before.address)
    move.apply()
    assert.deepEqual(admin.door.address, after.address)
    client.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.equal((await client.head()).status, 200)
    await client.gone()
    assert.equal(await isOpen(before.address.port), false)
    assert.equal(await isOpen(after.address.port), true)
  })

  it('rejects when the new address is taken, and stays where it is', async () => {
    await using admin = opened()
    await using other = opened()
    const [config, taken] = [await at(), await at()]
    for (const [door, address] of [
      [admin.door, config],
      [other.door, taken],
    ] as const) {
      const start = await door.prepare(address)
      start.apply()
    }
    await assert.rejects(admin.door.prepare(taken), { code: 'EADDRINUSE' })
    assert.equal(await isOpen(config.address.port), true)
  })

  it('goes away with a config that has none, and at its end at once', async () => {
    const admin = opened()
    const [config, other] = [await at(), await at()]
    for (const next of [config, other, undefined]) {
      const change = await admin.door.prepare(next)
      change.apply()
    }
    assert.equal(admin.door.address, undefined)
    await admin.door.close()
    assert.equal(await isOpen(config.address.port), false)
    assert.equal(await isOpen(other.address.port), false)
  })
})
