import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import http2 from 'node:http2'
import tls from 'node:tls'
import { withNative } from '../support/test-relay.ts'
import { Http2Client } from '../support/http2-client.ts'
import { handshake, rawClient, RawClient } from '../support/raw-client.ts'
import { CONFIG, startTestListener, type TestListener } from './test-listener.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'
const SECURE = tlsConfig({ ...filesIn('tls'), http2: true })

async function secureClient(port: number, protocol: string): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: [protocol],
  })
  await once(socket, 'secureConnect')
  return socket
}

/** A client whose handshake has come out of the listener, with its socket. */
async function upgradedAt(opened: TestListener) {
  const client = await rawClient(opened.port)
  client.write(handshake('/chat', ['X-More: a'.padEnd(200, 'a')]))
  const upgraded = await opened.upgraded()
  return { client, upgraded }
}

describe('a listener', withNative, () => {
  it('hands on requests of HTTP/1.1 and HTTP/2, plain and over TLS', async () => {
    await using plain = await startTestListener({ h2c: true })
    await using secure = await startTestListener({ tls: SECURE })
    for (const opened of [plain, secure]) {
      const isSecure = opened === secure
      const first = isSecure ? await secureClient(opened.port, 'http/1.1') : undefined
      await using client = first === undefined ? await rawClient(opened.port) : new RawClient(first)
      client.write(GET)
      assert.equal((await client.answer()).status, 200)
      const second = isSecure ? await secureClient(opened.port, 'h2') : undefined
      const scheme = isSecure ? 'https' : 'http'
      const session = http2.connect(`${scheme}://127.0.0.1:${opened.port}`, {
        ...(second && { createConnection: () => second }),
      })
      await using other = new Http2Client(session)
      assert.equal((await other.ask('/b')).status, 200)
      const told = opened.requests.map(({ head, connection }) => ({
        target: head.target,
        encrypted: connection.encrypted,
        http2: connection.http2?.connects,
      }))
      assert.deepEqual(told, [
        { target: '/a', encrypted: isSecure, http2: undefined },
        { target: '/b', encrypted: isSecure, http2: false },
      ])
    }
  })

  it('is as before until a change is applied', async () => {
    await using opened = await startTestListener()
    const { listener } = opened
    const next = { ...CONFIG, tls: SECURE, headTimeoutMs: 30_000 }
    const change = listener.prepare(next)
    assert.equal(change.newCertificate, true)
    assert.deepEqual([listener.config.tls, listener.tls.isOn], [undefined, false])
    await using standing = await rawClient(opened.port)
    standing.write(GET)
    await standing.answer()
    change.apply()
    assert.equal(listener.config, next)
    assert.equal(listener.prepare(next).newCertificate, false)
    standing.write(GET)
    assert.equal((await standing.answer()).status, 200)
    await using client = new RawClient(await secureClient(opened.port, 'http/1.1'))
    client.write(GET)
    assert.equal((await client.answer()).status, 200)
    await using late = await rawClient(opened.port)
    late.write(handshake())
    await late.gone()
    assert.equal(opened.requests.length, 3)
  })

  it('does not change when a certificate of the change cannot be read', async () => {
    await using opened = await startTestListener()
    const wrong = tlsConfig({ ...filesIn('tls'), key: '/nowhere/missing.pem' })
    assert.throws(() => opened.listener.prepare({ ...CONFIG, tls: wrong }), { code: 'ENOENT' })
    assert.equal(opened.listener.tls.isOn, false)
  })

  it('is not empty while a tunnel has one of its sockets, though it has stopped', async () => {
    await using opened = await startTestListener({ proxyProtocol: 'optional' })
    const { client, upgraded } = await upgradedAt(opened)
    const { socket } = upgraded.client.release()
    await opened.listener.stopAccepting()
    let isEmpty = false
    const empty = opened.listener.empty().then(() => (isEmpty = true))
    await assert.rejects(rawClient(opened.port), { code: 'ECONNREFUSED' })
    assert.equal(isEmpty, false)
    socket.destroy()
    await empty
    await client.gone()
  })

  it('cuts at its end what stands, of HTTP/1.1 and HTTP/2', async () => {
    await using opened = await startTestListener({ tls: SECURE })
    await using client = new RawClient(await secureClient(opened.port, 'http/1.1'))
    client.write(GET)
    await client.answer()
    client.write('GET /b HTTP/1.1\r\n')
    const secure = await secureClient(opened.port, 'h2')
    const session = http2.connect(`https://127.0.0.1:${opened.port}`, {
      createConnection: () => secure,
    })
    await using other = new Http2Client(session)
    await other.ask('/c')
    opened.listener.destroy()
    await client.gone()
    if (!session.closed) await once(session, 'close')
  })
})
