import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { TLSSocket } from 'node:tls'
import { connectionOf, heldConnectionOf, type Place } from '../../src/listen/connection.ts'
import { tell } from '../../src/listen/proxy-protocol-ends.ts'
import { readProxyHeader, type ProxyHeader } from '../../src/listen/proxy-protocol.ts'
import { ReceiveWindow } from '../../src/http2/receive-window.ts'
import { StreamSocket } from '../../src/listen/stream-socket.ts'
import type { ClientCertificate } from '../../src/request/client-certificate.ts'
import { binaryHeader } from '../support/proxy-header.ts'
import { socketPair } from '../support/socket-pair.ts'

const PLACE: Place = { localPort: 8443, redirect: undefined }
const CERTIFICATE: ClientCertificate = { failure: 'CERT_HAS_EXPIRED' }

function none(): undefined {}

/** What `connectionOf` says of a socket, without what a listener adds to it. */
function told(socket: Socket | StreamSocket) {
  return connectionOf(socket, PLACE, none)
}

describe('connectionOf', () => {
  it('tells the address of the peer, and the port of the listener', async () => {
    await using pair = await socketPair()
    const plain = { peerAddress: '127.0.0.1', encrypted: false, localPort: 8443 }
    assert.deepEqual(told(pair.socket), plain)
    const redirecting = connectionOf(pair.socket, { ...PLACE, redirect: { port: 443 } }, none)
    assert.deepEqual(redirecting, { ...plain, httpsPort: 443 })
  })

  it('tells no address of a client on a unix socket', async () => {
    await using pair = await socketPair('unix')
    const { peerAddress, localPort } = connectionOf(
      pair.socket,
      { ...PLACE, localPort: undefined },
      none,
    )
    assert.deepEqual([peerAddress, localPort], ['', undefined])
  })

  it('tells of TLS, and of the certificate that was shown', async () => {
    await using pair = await socketPair()
    const secure = new TLSSocket(pair.socket, { isServer: true })
    const shownBy = (socket: object) => (socket === secure ? CERTIFICATE : undefined)
    const { encrypted, certificate } = connectionOf(secure, PLACE, shownBy)
    assert.deepEqual([encrypted, certificate], [true, CERTIFICATE])
    assert.equal('certificate' in connectionOf(pair.socket, PLACE, shownBy), false)
    secure.destroy()
  })

  it('tells what a proxy has told: the client, and the port that it came to', async () => {
    await using pair = await socketPair()
    tell(pair.socket, readProxyHeader(binaryHeader()) as ProxyHeader)
    assert.deepEqual(told(pair.socket), {
      peerAddress: '192.0.2.7',
      encrypted: false,
      localPort: 443,
    })
  })

  it('tells of a proxy that does not know whom it speaks for, and of one that speaks for itself', async () => {
    await using unknown = await socketPair()
    tell(unknown.socket, readProxyHeader(Buffer.from('PROXY UNKNOWN\r\n')) as ProxyHeader)
    assert.equal(told(unknown.socket).isAnonymous, true)
    await using local = await socketPair()
    tell(local.socket, readProxyHeader(binaryHeader({ start: 0x20 })) as ProxyHeader)
    assert.equal('isAnonymous' in told(local.socket), false)
    assert.equal(told(local.socket).localPort, 8443)
  })

  it('tells of a stream of HTTP/2 what is known of the connection below it', async () => {
    await using pair = await socketPair()
    const session = http2.performServerHandshake(pair.socket.resume())
    const client = http2.connect('http://a.test', { createConnection: () => pair.peer })
    client.request({ ':path': '/' }).on('error', () => {})
    const [stream] = (await once(session, 'stream')) as [ServerHttp2Stream]
    stream.on('error', () => {})
    const socket = new StreamSocket({
      stream,
      request: { method: 'GET', connects: true, head: '', body: { kind: 'none' } },
      transport: Object.assign(pair.socket, { encrypted: true }),
      peerAddress: '192.0.2.1',
      highWaterMark: 1000,
      window: new ReceiveWindow(session),
    })
    const shownBelow = (shower: object) => (shower === pair.socket ? CERTIFICATE : undefined)
    assert.deepEqual(connectionOf(socket, PLACE, shownBelow), {
      peerAddress: '192.0.2.1',
      encrypted: true,
      localPort: 8443,
      certificate: CERTIFICATE,
      http2: { connects: true },
    })
    session.destroy()
    client.destroy()
  })
})

describe('heldConnectionOf', () => {
  it('tells of plain TCP', () => {
    const held = {
      peerAddress: '192.0.2.9',
      listener: undefined,
      hear: assert.fail,
      close: assert.fail,
      toSocket: assert.fail,
      side: assert.fail,
    }
    const plain = { peerAddress: '192.0.2.9', encrypted: false, localPort: 8443 }
    assert.deepEqual(heldConnectionOf(held, PLACE), plain)
    const redirecting = heldConnectionOf(held, { ...PLACE, redirect: { port: 443 } })
    assert.deepEqual(redirecting, { ...plain, httpsPort: 443 })
  })
})
