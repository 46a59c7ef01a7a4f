import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ListenerConfig } from '../../src/config/config.ts'
import { Listeners } from '../../src/listen/listeners.ts'
import { freePort } from '../support/free-port.ts'
import { rawClient } from '../support/raw-client.ts'
import { sendText } from '../support/send-text.ts'
import { CONFIG } from './test-listener.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** Listeners, without a native relay, that answer every request with its target. */
function answering() {
  const listeners = new Listeners(
    { highWaterMark: 65_536, acceptor: undefined },
    {
      request: ({ target }, _connection, client) => void sendText(client, () => target),
      servesWebSocket: () => true,
      trusts: () => false,
      trustedBlocks: () => new Uint8Array(),
      broken: () => 'HTTP/1.1 400 broken\r\n\r\n',
    },
  )
  return { listeners, [Symbol.dispose]: () => listeners.destroy() }
}

function at(port: number, more: Partial<ListenerConfig> = {}): ListenerConfig {
  return { ...CONFIG, address: { kind: 'tcp', host: '127.0.0.1', port }, ...more }
}

function portsOf(listeners: readonly { readonly address: ListenerConfig['address'] }[]): number[] {
  return listeners.map(({ address }) => (address.kind === 'tcp' ? address.port : 0))
}

async function isOpen(port: number): Promise<boolean> {
  try {
    await using client = await rawClient(port)
    client.write(GET)
    return (await client.head()).status === 200
  } catch {
    return false
  }
}

describe('Listeners', () => {
  it('are in the order of the config, and keep the sockets of addresses that stay', async () => {
    using opened = answering()
    const { listeners } = opened
    const [a, b, c] = [await freePort(), await freePort(), await freePort()]
    const start = await listeners.prepare([at(a), at(b)])
    assert.deepEqual(portsOf(listeners.current), [])
    start.apply()
    const [first, second] = listeners.current
    const change = await listeners.prepare([at(c), at(b), at(a)])
    assert.deepEqual([portsOf(change.added), change.removed], [[c], []])
    change.apply()
    assert.deepEqual(portsOf(listeners.current), [c, b, a])
    assert.deepEqual(listeners.current.slice(1), [second, first])
  })

  it('are matched one by one where an address is there twice', async () => {
    using opened = answering()
    const { listeners } = opened
    const start = await listeners.prepare([at(0), at(0)])
    start.apply()
    const ports = portsOf(listeners.current)
    const change = await listeners.prepare([at(0)])
    assert.deepEqual(portsOf(change.removed), [ports[1]])
    change.apply()
    assert.deepEqual(portsOf(listeners.current), [ports[0]])
  })

  it('are as before until a change is applied, and after it is cancelled', async () => {
    using opened = answering()
    const { listeners } = opened
    const [a, b] = [await freePort(), await freePort()]
    const start = await listeners.prepare([at(a)])
    start.apply()
    const change = await listeners.prepare([at(b)])
    assert.deepEqual([await isOpen(a), await isOpen(b)], [true, true])
    change.cancel()
    assert.deepEqual([await isOpen(a), await isOpen(b)], [true, false])
    assert.deepEqual(portsOf(listeners.current), [a])
  })

  it('bind nothing when one of them cannot be bound', async () => {
    using opened = answering()
    const { listeners } = opened
    const [a, b] = [await freePort(), await freePort()]
    const start = await listeners.prepare([at(a)])
    start.apply()
    using others = answering()
    await assert.rejects(others.listeners.prepare([at(b), at(a)]), { code: 'EADDRINUSE' })
    assert.equal(await isOpen(b), false)
  })

  it('are checked without being bound', async () => {
    using opened = answering()
    const { listeners } = opened
    const port = await freePort()
    const tls = tlsConfig(filesIn('tls'))
    assert.deepEqual(listeners.check([at(port, { tls })]).newCertificates, [])
    assert.equal(await isOpen(port), false)
    const missing = { ...tls, cert: '/nowhere/missing.pem' }
    assert.throws(() => listeners.check([at(port, { tls: missing })]), { code: 'ENOENT' })
    const start = await listeners.prepare([at(port, { tls })])
    start.apply()
    assert.deepEqual(listeners.check([at(port, { tls })]).newCertificates, [])
    const other = tlsConfig(filesIn('config/tls'))
    assert.deepEqual(listeners.check([at(port, { tls: other })]).newCertificates, listeners.current)
  })

  it('that are removed answer what has begun, and then close', async () => {
    using opened = answering()
    const { listeners } = opened
    const port = await freePort()
    const start = await listeners.prepare([at(port)])
    start.apply()
    await using client = await rawClient(port)
    client.write('GET /late HTTP/1.1\r\n')
    await using other = await rawClient(port)
    other.write(GET)
    await other.answer()
    const change = await listeners.prepare([])
    change.apply()
    assert.equal(await other.more(), false)
    assert.equal(await isOpen(port), false)
    client.write('Host: a\r\n\r\n')
    const { fields } = await client.head()
    assert.equal(fields.get('connection'), 'close')
    await listeners.stopAccepting()
  })
})
