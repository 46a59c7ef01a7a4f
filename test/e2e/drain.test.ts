import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Crowd } from '../support/crowd.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import {
  grantingUpstream,
  scriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts'
import { wsServer } from '../support/ws-server.ts'

/** Tunnels are left alone until the drain is over. */
function yaml(upstream: ScriptedUpstream, drain: string): string {
  return `shutdown: { drain: ${drain}, spread: false }\nroutes: [{ upstream: "${upstream.url}" }]`
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
    await using upstream = await grantingUpstream()
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
    await using upstream = await grantingUpstream()
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
    await using upstream = await grantingUpstream()
    await using gateway = await startTestGateway(
      `${yaml(upstream, '50ms')}\nrelay: { frames: off }`,
    )
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

describe('a drain that is spread', () => {
  it('tells 300 clients one after the other to go, each with the code of its route', async () => {
    const drainMs = 3000
    await using server = await wsServer()
    await using gateway = await startTestGateway(`
shutdown: { drain: ${drainMs}ms }
routes:
  - { name: again, match: { path: /again }, upstream: "${server.url}", close: { drain: 1012 } }
  - { name: away, upstream: "${server.url}" }
`)
    const origin = `ws://127.0.0.1:${gateway.port}`
    await using away = await Crowd.open(`${origin}/`, 150)
    await using again = await Crowd.open(`${origin}/again`, 150)
    const startMs = Date.now()
    await gateway.gateway.stop()
    const tookMs = Date.now() - startMs
    await Promise.all([away.gone(), again.gone()])
    assert.deepEqual([away.closings.length, again.closings.length], [150, 150])
    assert.deepEqual([...new Set(away.closings.map(({ code }) => code))], [1001])
    assert.deepEqual([...new Set(again.closings.map(({ code }) => code))], [1012])
    assert.ok(tookMs > drainMs * 0.9 && tookMs < drainMs + 2000, `it took ${tookMs} ms`)

    const lines = gateway.logs.filter(({ msg }) => msg === 'tunnel close')
    assert.equal(lines.length, 300)
    assert.ok(lines.every(({ by, reason }) => by === 'gateway' && reason === 'drain'))
    const times = lines.map(({ time }) => Date.parse(String(time)) - startMs)
    // 101 are told so in any second; how long each then takes to end differs a little.
    assert.ok(mostInASecond(times) <= 110, String(mostInASecond(times)))
    for (const part of [0.25, 0.5, 0.75]) {
      const sofar = times.filter((time) => time < part * drainMs).length
      assert.ok(Math.abs(sofar - part * 300) <= 30, `${sofar} after ${part}`)
    }
    // Routes are told in random order too, and not one after the other.
    const firstHalf = lines.slice(0, 150).filter(({ route }) => route === 'away').length
    assert.ok(firstHalf > 45 && firstHalf < 105, String(firstHalf))

    const [draining] = gateway.logs.filter(({ msg }) => msg === 'draining')
    assert.deepEqual([draining?.['tunnels'], draining?.['drainMs']], [300, drainMs])
    const [closing] = gateway.logs.filter(({ msg }) => msg === 'closing tunnels')
    assert.deepEqual([closing?.['reason'], closing?.['left'], closing?.['of']], ['drain', 300, 300])
  })

  it('tells those as well whose handshake was in progress when it began', async () => {
    const asked = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      asked.resolve()
      await told.promise
      connection.write(SWITCHING)
      await connection.rest()
      connection.socket.end()
    })
    await using gateway = await startTestGateway(
      `shutdown: { drain: 500ms }\nrelay: { frames: off }\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await asked.promise
    const stopped = gateway.gateway.stop()
    await gateway.log('draining')
    told.resolve()
    assert.equal((await client.head()).status, 101)
    assert.equal(await client.rest(), '')
    client.socket.end()
    await stopped
    const { by, reason } = await gateway.log('tunnel close')
    assert.deepEqual([by, reason], ['gateway', 'drain'])
  })

  it('resets whoever does not leave in time, and ends then', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(SWITCHING)
    })
    await using gateway = await startTestGateway(
      `shutdown: { drain: 100ms }\nroutes: [{ upstream: "${upstream.url}", close: { timeout: 100ms } }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    await gateway.gateway.stop()
    await client.failure()
    const { by, reason } = await gateway.log('tunnel close')
    assert.deepEqual([by, reason], ['gateway', 'drain'])
  })

  it('is cut short by a second signal', async () => {
    await using gateway = await startGatewayProcess(
      'shutdown: { drain: 1h }\nroutes: [{ upstream: "builtin:echo" }]',
    )
    await using crowd = await Crowd.open(`ws://127.0.0.1:${gateway.port}/`, 10)
    const { child, exited } = gateway.program
    child.kill('SIGTERM')
    await gateway.log('tunnel close', 1)
    assert.equal(crowd.size, 9)
    const startMs = Date.now()
    child.kill('SIGTERM')
    const { code } = await exited
    assert.equal(code, 143)
    assert.ok(Date.now() - startMs < 2000)
  })
})

/** The most of these times that are within a second of each other. */
function mostInASecond(times: readonly number[]): number {
  return Math.max(
    ...times.map((from) => times.filter((time) => time >= from && time < from + 1000).length),
  )
}
