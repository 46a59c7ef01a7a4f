import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { TlsSessions } from '../../src/balance/tls-sessions.ts'
import type { Address } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { dial as dialWith, type DialOptions } from '../../src/handshake/dial.ts'
import { endpointTls, type TestTls } from '../support/endpoint-tls.ts'

const fixtures = join(import.meta.dirname, '../fixtures/tls')
const patient = { connectTimeoutMs: 20_000 }

/** A dial as a promise; the abort of `signal` cancels it. */
function dial(
  endpoint: Endpoint,
  { signal, ...options }: DialOptions & { readonly signal?: AbortSignal },
): Promise<Socket | Refusal> {
  return new Promise((resolve) => {
    const dialing = dialWith(endpoint, options, (result) => {
      if (result instanceof Socket) result.on('error', () => {})
      resolve(result)
    })
    if (signal?.aborted === true) dialing.cancel()
    signal?.addEventListener('abort', () => dialing.cancel(), { once: true })
  })
}

let ca = ''
let otherCa = ''
let cert = ''
let key = ''

before(async () => {
  ca = await readFixture('ca.pem')
  otherCa = await readFixture('other-ca.pem')
  cert = await readFixture('cert.pem')
  key = await readFixture('key.pem')
})

function readFixture(name: string): Promise<string> {
  return readFile(join(fixtures, name), 'utf8')
}

/** A server that listens until the end of the block, with the server's side of each connection. */
interface Peer extends AsyncDisposable {
  readonly address: Address
  /** The next connection's socket. */
  connection(): Promise<Socket>
}

async function listening(server: Server, event: string, path?: string): Promise<Peer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  const address: Address =
    path === undefined
      ? { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port }
      : { kind: 'unix', path }
  return {
    address,
    connection: async () => ((await once(server, event)) as [Socket])[0],
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function tcpPeer(path?: string): Promise<Peer> {
  return listening(createServer({ allowHalfOpen: true }), 'connection', path)
}

function tlsPeer(options: TlsOptions = {}): Promise<Peer> {
  const server = createTlsServer({ cert, key, ALPNProtocols: ['http/1.1'], ...options })
  server.on('tlsClientError', () => {})
  server.on('secureConnection', (socket) => socket.on('error', () => {}))
  return listening(server, 'secureConnection')
}

function endpointAt(address: Address, secure?: TestTls): Endpoint {
  const tls = secure && endpointTls(secure)
  return { id: 'u', url: 'u', address, tls, weight: 1, inUse: 0, up: true, draining: false }
}

/** The socket of a dial that worked; the end of the block destroys it. */
function connected(result: Socket | Refusal): Socket & Disposable {
  assert.ok(result instanceof Socket, result instanceof Refusal ? result.details.cause : '')
  return Object.assign(result, { [Symbol.dispose]: () => void result.destroy() })
}

function refused(result: Socket | Refusal, code: string, cause: RegExp): void {
  assert.ok(result instanceof Refusal, 'is refused')
  assert.equal(result.code, code)
  assert.match(result.details.cause ?? '', cause)
}

/** An address that nobody listens at, as its listener has just gone. */
async function deadAddress(): Promise<Address> {
  await using peer = await tcpPeer()
  return peer.address
}

async function bytesOf(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

function openTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

function ownListeners(socket: Socket): number {
  const events = ['connect', 'secureConnect', 'error', 'close', 'timeout', 'data', 'readable']
  const fresh = socket instanceof TLSSocket ? 1 : 0
  return events.reduce((sum, event) => sum + socket.listenerCount(event), 0) - fresh
}

describe('dial', () => {
  it('connects to an address, and passes on what comes and goes', async () => {
    await using peer = await tcpPeer()
    const accepted = peer.connection()
    using socket = connected(await dial(endpointAt(peer.address), patient))
    assert.equal(socket.readyState, 'open')
    assert.equal(socket.readableFlowing, null)
    socket.end('question')
    const other = await accepted
    assert.equal(await bytesOf(other), 'question')
    other.end('answer')
    assert.equal(await bytesOf(socket), 'answer')
  })

  it('connects to a name', async () => {
    await using peer = await tcpPeer()
    assert.ok(peer.address.kind === 'tcp')
    const address = { ...peer.address, host: 'localhost' }
    using socket = connected(await dial(endpointAt(address), patient))
    assert.equal(socket.remotePort, peer.address.port)
  })

  it('connects to a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dial-'))
    await using peer = await tcpPeer(join(folder, 'app.sock'))
    using socket = connected(await dial(endpointAt(peer.address), patient))
    assert.equal(socket.readyState, 'open')
    await rm(folder, { recursive: true })
  })

  it('keeps our side open after the FIN of the upstream', async () => {
    await using peer = await tcpPeer()
    const accepted = peer.connection()
    using socket = connected(await dial(endpointAt(peer.address), patient))
    const other = await accepted
    other.end()
    socket.resume()
    await once(socket, 'end')
    socket.end('still here')
    assert.equal(await bytesOf(other), 'still here')
  })

  it('never ends the process by an error of a socket that is not taken over yet', async () => {
    await using peer = await tcpPeer()
    using socket = connected(await dial(endpointAt(peer.address), patient))
    const closed = Promise.withResolvers<void>()
    socket.on('close', closed.resolve)
    socket.destroy(new Error('early'))
    await closed.promise
  })

  describe('refusals', () => {
    it('E_UPSTREAM_REFUSED when nobody listens', async () => {
      const address = await deadAddress()
      refused(await dial(endpointAt(address), patient), 'E_UPSTREAM_REFUSED', /ECONNREFUSED/)
    })

    it('E_UPSTREAM_REFUSED when nobody listens at any address of a name', async () => {
      const address = await deadAddress()
      assert.ok(address.kind === 'tcp')
      const named = { ...address, host: 'localhost' }
      refused(await dial(endpointAt(named), patient), 'E_UPSTREAM_REFUSED', /ECONNREFUSED/)
    })

    it('E_UPSTREAM_REFUSED when the unix socket does not exist', async () => {
      const address: Address = { kind: 'unix', path: join(tmpdir(), 'no-such-folder/app.sock') }
      refused(await dial(endpointAt(address), patient), 'E_UPSTREAM_REFUSED', /ENOENT/)
    })

    it('E_UPSTREAM_UNREACHABLE when the path leads through a file', async () => {
      const address: Address = { kind: 'unix', path: join(fixtures, 'ca.pem/app.sock') }
      refused(await dial(endpointAt(address), patient), 'E_UPSTREAM_UNREACHABLE', /ENOTDIR/)
    })

    it('E_UPSTREAM_UNREACHABLE when the name cannot be looked up', async () => {
      // A label is at most 63 bytes long, so that no name server is asked.
      const address: Address = { kind: 'tcp', host: `${'a'.repeat(64)}.invalid`, port: 80 }
      refused(await dial(endpointAt(address), patient), 'E_UPSTREAM_UNREACHABLE', /getaddrinfo/)
    })

    it('E_CLIENT_GONE when the client was gone before', async () => {
      const address = await deadAddress()
      const options = { ...patient, signal: AbortSignal.abort() }
      refused(await dial(endpointAt(address), options), 'E_CLIENT_GONE', /gone/)
    })

    it('E_CLIENT_GONE when the client goes while TCP connects', async () => {
      await using peer = await tcpPeer()
      const abort = new AbortController()
      const dialing = dial(endpointAt(peer.address), { ...patient, signal: abort.signal })
      abort.abort()
      refused(await dialing, 'E_CLIENT_GONE', /gone/)
    })

    it('E_CLIENT_GONE when the client goes during the TLS handshake, and closes the connection', async () => {
      await using silent = await tcpPeer()
      const abort = new AbortController()
      const accepted = silent.connection()
      const endpoint = endpointAt(silent.address, { serverName: 'localhost', ca })
      const dialing = dial(endpoint, { ...patient, signal: abort.signal })
      const other = await accepted
      await once(other, 'data')
      abort.abort()
      refused(await dialing, 'E_CLIENT_GONE', /gone/)
      await once(other, 'end')
    })

    it('E_CONNECT_TIMEOUT when TLS is not answered in time, and closes the connection', async (t) => {
      await using silent = await tcpPeer()
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const accepted = silent.connection()
      const endpoint = endpointAt(silent.address, { serverName: 'localhost', ca })
      const dialing = dial(endpoint, { connectTimeoutMs: 5000 })
      const other = await accepted
      t.mock.timers.tick(4999)
      await once(other, 'data')
      t.mock.timers.tick(1)
      refused(await dialing, 'E_CONNECT_TIMEOUT', /5000 ms/)
      await once(other, 'end')
    })

    it('E_CONNECT_TIMEOUT when TCP is not answered in time', async (t) => {
      const address = await deadAddress()
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const dialing = dial(endpointAt(address), { connectTimeoutMs: 5000 })
      t.mock.timers.tick(5000)
      refused(await dialing, 'E_CONNECT_TIMEOUT', /5000 ms/)
    })
  })

  describe('TLS', () => {
    it('connects with the configured CA, and asks for http/1.1', async () => {
      await using peer = await tlsPeer()
      const accepted = peer.connection()
      const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
      using socket = connected(await dial(endpoint, patient))
      assert.ok(socket instanceof TLSSocket)
      assert.equal(socket.authorized, true)
      assert.equal(socket.alpnProtocol, 'http/1.1')
      const other = await accepted
      assert.ok(other instanceof TLSSocket)
      assert.equal(other.servername, 'localhost')
      socket.end('question')
      assert.equal(await bytesOf(other), 'question')
    })

    it('keeps our side open after the end of the upstream', async () => {
      await using peer = await tlsPeer({ allowHalfOpen: true })
      const accepted = peer.connection()
      using socket = connected(
        await dial(endpointAt(peer.address, { serverName: 'localhost', ca }), patient),
      )
      const other = await accepted
      other.end('bye')
      assert.equal(await bytesOf(socket), 'bye')
      socket.end('still here')
      assert.equal(await bytesOf(other), 'still here')
    })

    it('checks the certificate for an address when the server name is one', async () => {
      await using peer = await tlsPeer()
      const accepted = peer.connection()
      const endpoint = endpointAt(peer.address, { serverName: '127.0.0.1', ca })
      using socket = connected(await dial(endpoint, patient))
      const other = await accepted
      assert.ok(other instanceof TLSSocket && socket instanceof TLSSocket)
      assert.equal(other.servername, false)
      assert.equal(socket.authorized, true)
    })

    describe('sessions', () => {
      /** Dials, and waits for the end of what the server sends: its tickets have come then. */
      async function isReused(peer: Peer, endpoint: Endpoint): Promise<boolean> {
        const accepted = peer.connection()
        using socket = connected(await dial(endpoint, patient))
        const other = await accepted
        other.end('ticket')
        assert.equal(await bytesOf(socket), 'ticket')
        assert.ok(socket instanceof TLSSocket && other instanceof TLSSocket)
        assert.equal(socket.isSessionReused(), other.isSessionReused())
        return socket.isSessionReused()
      }

      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        it(`resumes those of connections before, and counts (${maxVersion})`, async () => {
          await using peer = await tlsPeer({ maxVersion })
          const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
          const reused: boolean[] = []
          for (let dials = 0; dials < 4; dials += 1) reused.push(await isReused(peer, endpoint))
          assert.deepEqual(reused, [false, true, true, true])
          assert.deepEqual(endpoint.tls?.handshakes, { full: 1, resumed: 3 })
        })
      }

      it('has two tickets from a full handshake of TLS 1.3, and one session of TLS 1.2', async () => {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          await using peer = await tlsPeer({ maxVersion })
          const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
          await isReused(peer, endpoint)
          const taken = Array.from({ length: 10 }, () => endpoint.tls?.sessions.take()?.data)
          assert.equal(new Set(taken).size, maxVersion === 'TLSv1.3' ? 2 : 1)
          assert.ok(!taken.includes(undefined))
        }
      })

      it('does a full handshake when the server knows them no more', async () => {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          await using peer = await tlsPeer({ maxVersion })
          await using restarted = await tlsPeer({ maxVersion })
          const tls = { serverName: 'localhost', ca }
          const endpoint = endpointAt(peer.address, tls)
          await isReused(peer, endpoint)
          const moved = { ...endpoint, address: restarted.address }
          assert.equal(await isReused(restarted, moved), false)
          const kept = new Set(Array.from({ length: 5 }, () => endpoint.tls?.sessions.take()?.data))
          assert.equal(kept.size, maxVersion === 'TLSv1.3' ? 2 : 1)
          assert.equal(await isReused(restarted, moved), true)
        }
      })

      it('reckons the age of those that resumed connections bring from the full handshake', async () => {
        await using peer = await tlsPeer()
        const clock = { nowMs: 0 }
        const sessions = new TlsSessions(() => clock.nowMs)
        const tls = { ...endpointTls({ serverName: 'localhost', ca }), sessions }
        const endpoint = { ...endpointAt(peer.address), tls }
        await isReused(peer, endpoint)
        clock.nowMs = 59 * 60_000
        using resumed = connected(await dial(endpoint, patient))
        // As servers do that give a new ticket for each one that is shown; node's gives none.
        resumed.emit('session', Buffer.from('new'))
        assert.equal(String(sessions.take()?.data), 'new')
        resumed.emit('session', Buffer.from('newer'))
        clock.nowMs = 60 * 60_000
        assert.equal(sessions.take(), undefined)
        assert.deepEqual(tls.handshakes, { full: 1, resumed: 1 })
      })

      it('keeps none of a peer that was refused', async () => {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          for (const wrong of [{ ca: otherCa }, { ca, serverName: 'chat.example.com' }]) {
            await using peer = await tlsPeer({ maxVersion })
            const endpoint = endpointAt(peer.address, { serverName: 'localhost', ...wrong })
            refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /UNABLE_TO|ALTNAME/)
            assert.equal(endpoint.tls?.sessions.take(), undefined)
            assert.deepEqual(endpoint.tls?.handshakes, { full: 0, resumed: 0 })
          }
        }
      })

      it('keeps those of unchecked peers where nobody is to be checked', async () => {
        await using peer = await tlsPeer()
        const insecure = endpointAt(peer.address, { serverName: 'x', ca: otherCa, insecure: true })
        assert.equal(await isReused(peer, insecure), false)
        assert.equal(await isReused(peer, insecure), true)
      })
    })

    describe('insecure', () => {
      for (const [what, tls] of [
        ['issuer', { serverName: 'localhost' }],
        ['name', { serverName: 'chat.example.com' }],
      ] as const) {
        it(`takes a certificate of any ${what}`, async () => {
          await using peer = await tlsPeer()
          const checked = endpointAt(peer.address, { ...tls, ca: what === 'name' ? ca : otherCa })
          refused(await dial(checked, patient), 'E_UPSTREAM_TLS', /UNABLE_TO|ALTNAME/)
          const unchecked = endpointAt(peer.address, { ...tls, ca: otherCa, insecure: true })
          using socket = connected(await dial(unchecked, patient))
          assert.ok(socket instanceof TLSSocket)
          assert.equal(socket.authorized, false)
          refused(await dial(checked, patient), 'E_UPSTREAM_TLS', /UNABLE_TO|ALTNAME/)
        })
      }
    })

    describe('minVersion', () => {
      it('refuses a server of older versions with E_UPSTREAM_TLS', async () => {
        await using peer = await tlsPeer({ maxVersion: 'TLSv1.2' })
        const tls = { serverName: 'localhost', ca, minVersion: 'TLSv1.3' } as const
        refused(await dial(endpointAt(peer.address, tls), patient), 'E_UPSTREAM_TLS', /minVersion/)
      })

      it('is reached by TLS 1.2 unless it says otherwise', async () => {
        await using peer = await tlsPeer({ maxVersion: 'TLSv1.2' })
        const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
        using socket = connected(await dial(endpoint, patient))
        assert.ok(socket instanceof TLSSocket)
        assert.equal(socket.getProtocol(), 'TLSv1.2')
      })
    })

    describe('a client certificate', () => {
      it('is shown to a server that asks', async () => {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          await using peer = await tlsPeer({ maxVersion, requestCert: true, ca })
          const accepted = peer.connection()
          const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca, cert, key })
          using socket = connected(await dial(endpoint, patient))
          const other = await accepted
          assert.ok(other instanceof TLSSocket && !socket.destroyed)
          assert.equal(other.authorized, true)
          assert.equal(
            other.getPeerCertificate().fingerprint256,
            new X509Certificate(cert).fingerprint256,
          )
        }
      })

      it('is missed with a cause that says so', async () => {
        await using peer = await tlsPeer({ maxVersion: 'TLSv1.2', requestCert: true, ca })
        const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
        refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /wants .* a client certificate/)
      })
    })

    it('refuses a certificate of another CA with E_UPSTREAM_TLS', async () => {
      await using peer = await tlsPeer()
      const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca: otherCa })
      refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
    })

    it("trusts the system's CAs alone when none is configured", async () => {
      await using peer = await tlsPeer()
      const endpoint = endpointAt(peer.address, { serverName: 'localhost' })
      refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
    })

    it('refuses a certificate for another name with E_UPSTREAM_TLS', async () => {
      await using peer = await tlsPeer()
      const endpoint = endpointAt(peer.address, { serverName: 'chat.example.com', ca })
      refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /ERR_TLS_CERT_ALTNAME_INVALID/)
    })

    it('verifies although the environment says not to', async (t) => {
      await using peer = await tlsPeer()
      process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
      t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'])
      const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca: otherCa })
      refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
    })

    it('asks for what it is told to, and says what was chosen', async () => {
      for (const [theirs, chosen] of [
        [['http/1.1', 'h2'], 'h2'],
        [['http/1.1'], 'http/1.1'],
      ] as const) {
        await using peer = await tlsPeer({
          ALPNCallback: ({ protocols }) => protocols.find((one) => theirs.some((t) => t === one)),
          ALPNProtocols: undefined,
        })
        const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
        const alpn = ['h2', 'http/1.1']
        using socket = connected(await dial(endpoint, { ...patient, alpn }))
        assert.ok(socket instanceof TLSSocket)
        assert.equal(socket.alpnProtocol, chosen)
      }
    })

    it('refuses a server that speaks no http/1.1 with E_UPSTREAM_TLS', async () => {
      await using peer = await tlsPeer({ ALPNProtocols: ['h2'] })
      const endpoint = endpointAt(peer.address, { serverName: 'localhost', ca })
      refused(await dial(endpoint, patient), 'E_UPSTREAM_TLS', /ALERT_NO_APPLICATION_PROTOCOL/)
    })

    it('refuses what is no TLS with one short line as cause', async () => {
      await using peer = await tcpPeer()
      const accepted = peer.connection()
      const dialing = dial(endpointAt(peer.address, { serverName: 'localhost', ca }), patient)
      ;(await accepted).write('HTTP/1.1 400 Bad Request\r\n\r\n')
      refused(await dialing, 'E_UPSTREAM_TLS', /^[^\n]{1,230}$/)
    })

    it('refuses a server that resets the handshake with E_UPSTREAM_TLS', async () => {
      await using peer = await tcpPeer()
      const accepted = peer.connection()
      const dialing = dial(endpointAt(peer.address, { serverName: 'localhost', ca }), patient)
      const other = await accepted
      await once(other, 'data')
      other.resetAndDestroy()
      refused(await dialing, 'E_UPSTREAM_TLS', /ECONNRESET/)
    })

    it('refuses a server that hangs up with E_UPSTREAM_TLS', async () => {
      await using peer = await tcpPeer()
      const accepted = peer.connection()
      const dialing = dial(endpointAt(peer.address, { serverName: 'localhost', ca }), patient)
      ;(await accepted).end()
      refused(await dialing, 'E_UPSTREAM_TLS', /ECONNRESET/)
    })
  })
})

describe('a dial', () => {
  it('gives the socket the buffers that it is told', async () => {
    await using peer = await tcpPeer()
    using socket = connected(
      await dial(endpointAt(peer.address), { ...patient, bufferBytes: 8192 }),
    )
    assert.deepEqual([socket.readableHighWaterMark, socket.writableHighWaterMark], [8192, 8192])
  })

  it('hands over a socket without listeners of its own', async () => {
    await using peer = await tcpPeer()
    const result = Promise.withResolvers<{ socket: Socket | Refusal; listeners: number }>()
    dialWith(endpointAt(peer.address), patient, (socket) =>
      result.resolve({ socket, listeners: ownListeners(connected(socket)) }),
    )
    const { socket, listeners } = await result.promise
    connected(socket).destroy()
    assert.equal(listeners, 0)
  })

  it('has no timer without a deadline, and leaves none after one', async () => {
    await using peer = await tcpPeer()
    for (const connectTimeoutMs of [Infinity, 20_000]) {
      const result = Promise.withResolvers<Socket | Refusal>()
      dialWith(endpointAt(peer.address), { connectTimeoutMs }, result.resolve)
      assert.equal(openTimers(), connectTimeoutMs === Infinity ? 0 : 1)
      connected(await result.promise).destroy()
      assert.equal(openTimers(), 0)
    }
  })

  it("ends once: a cancel after the end does nothing, and the socket is its owner's", async () => {
    await using peer = await tcpPeer()
    const results: (Socket | Refusal)[] = []
    const done = Promise.withResolvers<void>()
    const dialing = dialWith(endpointAt(peer.address), patient, (result) => {
      results.push(result)
      done.resolve()
    })
    await done.promise
    dialing.cancel()
    using socket = connected(results[0] ?? new Refusal('E_INTERNAL'))
    assert.equal(socket.destroyed, false)
    assert.equal(results.length, 1)
  })

  it('ends at once when it is cancelled, and never again', async () => {
    await using peer = await tcpPeer()
    const accepted = peer.connection()
    const results: (Socket | Refusal)[] = []
    const dialing = dialWith(endpointAt(peer.address), patient, (result) => results.push(result))
    const other = await accepted
    const endings = results.length
    dialing.cancel()
    dialing.cancel()
    assert.equal(results.length, 1)
    if (endings === 1) connected(results[0] ?? new Refusal('E_INTERNAL')).destroy()
    other.resume()
    await once(other, 'end')
    assert.equal(results.length, 1)
  })
})
