import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { Entrance, type EntranceRules } from '../../src/listen/entrance.ts'
import { binaryHeader } from '../support/proxy-header.ts'
import { socketPair } from '../support/socket-pair.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const PLAIN: EntranceRules = {
  proxyProtocol: 'off',
  headTimeoutMs: 60_000,
  tls: undefined,
  h2c: false,
}
const LINE = 'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\r\n'
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

interface Entered {
  readonly version: 1 | 2
  readonly socket: Socket
  /** What is read from it first. */
  readonly first: Promise<string>
}

interface TestEntrance extends Disposable {
  readonly entrance: Entrance
  readonly refused: string[]
  /** Whoever is through first. */
  readonly entered: Promise<Entered>
}

function entranceWith(changes: Partial<EntranceRules>): TestEntrance {
  const rules = { ...PLAIN, ...changes }
  const refused: string[] = []
  const { promise: entered, resolve } = Promise.withResolvers<Entered>()
  const entrance = new Entrance({
    rules: () => rules,
    isTrusted: () => true,
    keyOf: ({ remoteAddress }) => remoteAddress,
    onAnnounced: () => true,
    onHttp1: (socket) => resolve({ version: 1, socket, first: firstOf(socket) }),
    onHttp2: (socket) => resolve({ version: 2, socket, first: firstOf(socket) }),
    onRefused: ({ code }, peerAddress) => refused.push(`${code} ${peerAddress}`),
  })
  return { entrance, refused, entered, [Symbol.dispose]: () => entrance.destroy() }
}

function firstOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
}

/** A TLS client over a connection that is there. */
async function secured(peer: Socket, ALPNProtocols: string[]): Promise<tls.TLSSocket> {
  const secure = tls.connect({ socket: peer, rejectUnauthorized: false, ALPNProtocols })
  await once(secure, 'secureConnect')
  return secure
}

describe('Entrance', () => {
  it('lets clients of plain HTTP/1.1 through at once, whatever they say', async () => {
    await using pair = await socketPair()
    using door = entranceWith({})
    assert.equal(door.entrance.isPlain, true)
    door.entrance.accept(pair.socket)
    const { version, socket } = await door.entered
    assert.deepEqual([version, socket === pair.socket], [1, true])
    assert.equal(socket.isPaused(), true)
  })

  it('lets a client go on that has begun', async () => {
    await using pair = await socketPair()
    using door = entranceWith({})
    door.entrance.acceptBegun(pair.socket)
    assert.equal((await door.entered).version, 1)
    assert.equal(pair.socket.isPaused(), false)
  })

  for (const [version, bytes] of [
    [1, 'GET / HTTP/1.1\r\n'],
    [2, PREFACE],
  ] as const) {
    it(`tells HTTP/${version} by the first bytes of a client, and leaves them unread`, async () => {
      await using pair = await socketPair()
      using door = entranceWith({ h2c: true })
      door.entrance.accept(pair.socket)
      pair.peer.write(bytes)
      const entered = await door.entered
      assert.equal(entered.version, version)
      assert.equal(entered.socket.isPaused(), version === 2)
      entered.socket.resume()
      assert.equal(await entered.first, bytes)
    })

    it(`tells HTTP/${version} by what a client asks for in TLS, behind a PROXY header`, async () => {
      await using pair = await socketPair()
      const config = tlsConfig({ ...filesIn('tls'), http2: true })
      using door = entranceWith({ tls: config, proxyProtocol: 'required' })
      assert.equal(door.entrance.isPlain, false)
      door.entrance.accept(pair.socket)
      pair.peer.write(LINE)
      const secure = await secured(pair.peer, version === 2 ? ['h2', 'http/1.1'] : ['http/1.1'])
      const entered = await door.entered
      assert.equal(entered.version, version)
      assert.equal(secure.alpnProtocol, version === 2 ? 'h2' : 'http/1.1')
      assert.equal(entered.socket.remoteAddress, '192.0.2.7')
      entered.socket.destroy()
      secure.destroy()
    })
  }

  it('takes a PROXY header off before it looks for the preface', async () => {
    await using pair = await socketPair()
    using door = entranceWith({ h2c: true, proxyProtocol: 'optional' })
    assert.equal(door.entrance.isPlain, false)
    door.entrance.acceptBegun(pair.socket)
    pair.peer.write(Buffer.concat([binaryHeader(), Buffer.from(PREFACE)]))
    const { version, socket, first } = await door.entered
    assert.deepEqual([version, socket.remoteAddress], [2, '192.0.2.7'])
    socket.resume()
    assert.equal(await first, PREFACE)
  })

  it('lets go on who comes without the PROXY header that may be there, and says that he has begun', async () => {
    await using pair = await socketPair()
    using door = entranceWith({ proxyProtocol: 'optional' })
    door.entrance.acceptBegun(pair.socket)
    pair.peer.write('GET /')
    const { socket, first } = await door.entered
    assert.equal(socket.isPaused(), false)
    assert.equal(await first, 'GET /')
  })

  it('closes and tells of a proxy that says nothing, and of a client without the certificate that is required', async () => {
    using missing = entranceWith({ proxyProtocol: 'required' })
    await using unproxied = await socketPair()
    missing.entrance.accept(unproxied.socket)
    unproxied.peer.write('GET / HTTP/1.1\r\n\r\n')
    await once(unproxied.socket, 'close')
    assert.deepEqual(missing.refused, ['E_PROXY_HEADER 127.0.0.1'])

    const files = filesIn('tls')
    const config = tlsConfig({ ...files, clientCa: files.cert, clientCert: 'require' })
    using strict = entranceWith({ tls: config })
    await using unknown = await socketPair()
    strict.entrance.accept(unknown.socket)
    const secure = await secured(unknown.peer, ['http/1.1'])
    secure.on('error', () => {})
    await once(unknown.socket, 'close')
    assert.deepEqual(strict.refused, ['E_AUTH_MISSING 127.0.0.1'])
  })

  for (const [what, bytes] of [
    ['speaks none', 'GET / HTTP/1.1\r\n\r\n'],
    ['says nothing in time', ''],
  ] as const) {
    it(`closes a client of TLS that ${what}, and does not tell`, async () => {
      await using pair = await socketPair()
      const config = tlsConfig({ ...filesIn('tls'), handshakeTimeoutMs: 50 })
      using door = entranceWith({ tls: config })
      assert.equal(door.entrance.isPlain, false)
      door.entrance.accept(pair.socket)
      pair.peer.write(bytes)
      await once(pair.socket, 'close')
      assert.deepEqual(door.refused, [])
    })
  }

  it('cuts those who have not said who they are when it ends', async () => {
    await using pair = await socketPair()
    using door = entranceWith({ proxyProtocol: 'required' })
    door.entrance.accept(pair.socket)
    const closed = once(pair.socket, 'close')
    door.entrance.destroy()
    await closed
  })

  it('cannot be made of a certificate that cannot be read', () => {
    const files = { ...filesIn('tls'), cert: '/nowhere/missing.pem' }
    assert.throws(() => entranceWith({ tls: tlsConfig(files) }), { code: 'ENOENT' })
  })
})
