import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

/** Tunnels are left alone until the drain is over. */
function yaml(upstream: ScriptedUpstream, drain: string): string {
  return `shutdown: { drain: ${drain}, spread: false }\nroutes: [{ upstream: "${upstream.url}" }]`
}

/** Grants every upgrade and ends when the client does. */
function granting(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    await connection.head()
    connection.write(SWITCHING)
    await connection.rest()
    connection.socket.end()
  })
}

/** Answers its one request when it is told to. */
async function answeringLater() {
  const asked = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const upstream = await scriptedUpstream(async (connection) => {
    await connection.head()
    asked.resolve()
    await told.promise
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
  })
  return { upstream, asked: asked.promise, answer: told.resolve }
}

describe('drain', () => {
  it('is not ready and accepts nothing from the first moment on', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(yaml(upstream, '10s'))
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    const ready = await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)
    assert.equal(ready.status, 200)
    const stopped = gateway.gateway.stop()
    const notReady = await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)
    assert.equal(notReady.status, 503)
    const alive = await fetch(`http://127.0.0.1:${gateway.adminPort}/healthz`)
    assert.equal(alive.status, 200)
    await assert.rejects(rawClient(gateway.port))
    client.socket.end()
    await stopped
  })

  it('answers the first request of a client that was connected before', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const head = await connection.head()
      const isUpgrade = head.fields.has('upgrade')
      connection.write(isUpgrade ? SWITCHING : 'HTTP/1.1 204 No Content\r\n\r\n')
      await connection.rest()
      connection.socket.end()
    })
    await using gateway = await startTestGateway(yaml(upstream, '1h'))
    await using client = await rawClient(gateway.port)
    // Connections are accepted in the order in which they came.
    await using tunnel = await rawClient(gateway.port)
    tunnel.write(handshake())
    await tunnel.head()
    const stopped = gateway.gateway.stop()
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.head()).status, 204)
    tunnel.socket.end()
    await stopped
  })

  it('lets tunnels end by themselves, and does not wait longer than for the last of them', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(yaml(upstream, '1h'))
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    const stopped = gateway.gateway.stop()
    client.write('still works')
    client.socket.end()
    await stopped
    const close = await gateway.log('tunnel close')
    assert.deepEqual([close['by'], close['reason'], close['bytesUp']], ['client', 'eof', 11])
  })

  it('closes what is left after the drain with the reason drain', async () => {
    await using upstream = await granting()
    await using gateway = await startTestGateway(yaml(upstream, '50ms'))
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    const stopped = gateway.gateway.stop()
    assert.equal(await client.rest(), '')
    client.socket.end()
    await stopped
    const close = await gateway.log('tunnel close')
    assert.deepEqual([close['by'], close['reason']], ['gateway', 'drain'])
  })

  it('finishes plain requests that are in progress, and closes their connections', async () => {
    const { upstream: started, asked, answer } = await answeringLater()
    await using upstream = started
    await using gateway = await startTestGateway(yaml(upstream, '10s'))
    await using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await asked
    const stopped = gateway.gateway.stop()
    answer()
    const head = await client.head()
    assert.equal(head.status, 200)
    assert.equal(head.fields.get('connection'), 'close')
    assert.equal(await client.rest(), 'done')
    await stopped
  })

  it('answers 503 to an upgrade that comes over a connection from before', async () => {
    const { upstream: started, asked, answer } = await answeringLater()
    await using upstream = started
    await using gateway = await startTestGateway(yaml(upstream, '10s'))
    await using busy = await rawClient(gateway.port)
    await using late = await rawClient(gateway.port)
    // A head that has begun keeps its connection out of the idle ones.
    late.write('GET / HTTP/1.1\r\n')
    busy.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await asked
    const stopped = gateway.gateway.stop()
    late.write(handshake().slice('GET / HTTP/1.1\r\n'.length))
    const refused = await late.answer()
    assert.equal(refused.status, 503)
    assert.ok(refused.fields.has('retry-after'))
    await gateway.log('request', { code: 'E_DRAINING' })
    answer()
    assert.equal((await busy.head()).status, 200)
    await stopped
  })
})
