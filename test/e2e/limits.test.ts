import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING, type RawAnswer } from '../support/raw-client.ts'
import {
  grantingUpstream,
  scriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts'

function start(upstream: ScriptedUpstream, limits: string): Promise<TestGateway> {
  return startTestGateway(
    `trustedProxies: [127.0.0.1]\nroutes: [{ name: a, limits: { ${limits} }, upstream: "${upstream.url}" }]`,
  )
}

const from = (address: string): string => handshake('/', [`X-Forwarded-For: ${address}`])

async function refusedAs(answer: RawAnswer, gateway: TestGateway, code: string): Promise<void> {
  assert.match(answer.fields.get('retry-after') ?? '', /^[1-9]\d*$/)
  await gateway.log('request', { code })
}

describe('limits', () => {
  it('answers 503 when all tunnels of a route are in use, and serves again when one has ended', async () => {
    await using upstream = await grantingUpstream()
    await using gateway = await start(upstream, 'tunnels: 1')
    await using first = await rawClient(gateway.port)
    first.write(handshake())
    assert.equal((await first.head()).status, 101)
    await using second = await rawClient(gateway.port)
    second.write(handshake())
    const refused = await second.answer()
    assert.equal(refused.status, 503)
    await refusedAs(refused, gateway, 'E_ROUTE_FULL')
    first.socket.end()
    await gateway.log('tunnel close')
    second.write(handshake())
    assert.equal((await second.head()).status, 101)
  })

  for (const [name, text] of [
    ['plain requests', `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOng=\r\n\r\n`],
    ['handshakes', handshake('/', ['Authorization: Basic YW5uOng='])],
  ] as const) {
    it(`counts ${name} with wrong passwords, so that guesses are slow`, async () => {
      await using upstream = await grantingUpstream()
      await using gateway = await startTestGateway(
        `auth: { staff: { type: basic, users: ./users } }
routes: [{ auth: [staff], limits: { requestsPerSecond: 2, handshakesPerSecond: 2 }, upstream: "${upstream.url}" }]`,
        { users: `ann:{SHA}${'A'.repeat(27)}=\n` },
      )
      await using client = await rawClient(gateway.port)
      client.write(text.repeat(8))
      const statuses: number[] = []
      for (let count = 0; count < 8; count += 1) statuses.push((await client.answer()).status)
      assert.ok(statuses.filter((status) => status === 401).length <= 4, statuses.join())
      assert.ok(statuses.includes(429))
      assert.equal(upstream.connections, 0)
    })
  }

  it('answers 429 to the client that has too many tunnels, and serves another one', async () => {
    await using upstream = await grantingUpstream()
    await using gateway = await start(upstream, 'tunnelsPerClient: 1')
    await using first = await rawClient(gateway.port)
    first.write(from('192.0.2.1'))
    assert.equal((await first.head()).status, 101)
    await using second = await rawClient(gateway.port)
    second.write(from('192.0.2.1'))
    const refused = await second.answer()
    assert.equal(refused.status, 429)
    await refusedAs(refused, gateway, 'E_CLIENT_FULL')
    second.write(from('192.0.2.2'))
    assert.equal((await second.head()).status, 101)
  })

  it('answers 429 to the client that opens tunnels too fast', async () => {
    await using upstream = await grantingUpstream()
    await using gateway = await start(upstream, 'handshakesPerSecond: 1')
    await using client = await rawClient(gateway.port)
    await using other = await rawClient(gateway.port)
    other.write(from('192.0.2.1'))
    assert.equal((await other.head()).status, 101)
    client.write(from('192.0.2.1'))
    const refused = await client.answer()
    assert.equal(refused.status, 429)
    await refusedAs(refused, gateway, 'E_RATE_LIMIT')
    client.write(from('192.0.2.2'))
    assert.equal((await client.head()).status, 101)
  })

  it('gives the place back when the handshake fails', async () => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head()
      if (index === 0) connection.socket.resetAndDestroy()
      else connection.write(SWITCHING)
    })
    await using gateway = await start(upstream, 'tunnels: 1')
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.answer()).status, 502)
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
  })
})
