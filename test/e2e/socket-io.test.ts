import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { socketIoServer, upgradedClient } from '../support/socket-io.ts'

describe('Socket.IO through the gateway', () => {
  it('polls first and then upgrades, on one route', async () => {
    await using server = await socketIoServer()
    await using gateway = await startTestGateway(
      `routes: [{ name: io, upstream: "${server.url}" }]`,
    )
    {
      await using client = await upgradedClient(gateway.port)
      assert.deepEqual(client.transports, ['polling', 'websocket'])
      assert.equal(await client.socket.emitWithAck('echo', 'über den Tunnel'), 'über den Tunnel')
      const bytes = Buffer.from([0, 1, 255])
      assert.deepEqual(await client.socket.emitWithAck('echo', bytes), bytes)
    }
    const polled = await gateway.log('request', { method: 'GET', route: 'io', status: 200 })
    assert.equal(polled['path'], '/socket.io/')
    const close = await gateway.log('tunnel close', { route: 'io' })
    assert.equal(close['protocol'], 'websocket')
    assert.equal(server.sessions, 1)
  })

  it('keeps each client on the server that has its session, with balance: hash', async () => {
    await using a = await socketIoServer()
    await using b = await socketIoServer()
    await using gateway = await startTestGateway(
      `upstreams: { io: { endpoints: ["${a.url}", "${b.url}"], balance: hash } }\nroutes: [{ upstream: io }]`,
    )
    const clients = 24
    for (let index = 0; index < clients; index += 1) {
      const localAddress = `127.0.0.${10 + index}`
      await using client = await upgradedClient(gateway.port, { localAddress })
      assert.deepEqual(client.transports, ['polling', 'websocket'])
      assert.equal(await client.socket.emitWithAck('echo', index), index)
    }
    assert.equal(a.sessions + b.sessions, clients)
    assert.ok(a.sessions > 0 && b.sessions > 0, `${a.sessions} and ${b.sessions} sessions`)
    const failed = gateway.logs.filter((line) => line.msg === 'request' && line['status'] !== 200)
    assert.deepEqual(failed, [])
  })
})
