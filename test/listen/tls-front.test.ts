import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import type { ListenerTlsConfig } from '../../src/config/config.ts'
import { TlsFront, type TlsFrontOptions } from '../../src/listen/tls-front.ts'
import { Handshakes } from '../../src/listen/tls-handshakes.ts'
import { readMaterial } from '../../src/listen/tls-material.ts'
import { clientHello } from '../support/client-hello.ts'
import { rawClient } from '../support/raw-client.ts'
import { settled } from '../support/settled.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const files = tlsConfig(filesIn('tls'))
const otherFiles = tlsConfig(filesIn('config/tls'))
/** Two groups: the name is read before TLS begins. */
const both = tlsConfig({
  certificates: [
    { ...filesIn('tls'), names: ['one.test'] },
    { ...filesIn('config/tls'), names: ['other.test'] },
  ],
})

/** Greets whoever has come through with one byte. */
function frontOf(config: ListenerTlsConfig, options: Partial<TlsFrontOptions> = {}) {
  const failures: unknown[] = []
  const handshakes = new Handshakes(() => undefined)
  const front = new TlsFront({
    config,
    material: readMaterial(config),
    ticketKeys: Buffer.alloc(48, 1),
    handshakes,
    protocols: ['http/1.1'],
    onSecure: (socket) => socket.end('!'),
    onFailed: (error, socket) => {
      failures.push(error.code)
      socket.destroy()
    },
    ...options,
  })
  return { front, failures, handshakes }
}

/** A port whose sockets go to a front. */
async function listening(accept: (socket: net.Socket) => void) {
  const server = net.createServer({ allowHalfOpen: true }, accept).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}

async function connect(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  await once(socket, 'secureConnect')
  return socket
}

describe('TlsFront', () => {
  for (const [what, config] of [
    ['one certificate', files],
    ['several', both],
  ] as const) {
    it(`hands clients on when their connection is secure, with ${what}`, async () => {
      const { front, handshakes } = frontOf(config)
      await using server = await listening((socket) => front.accept(socket))
      const client = await connect(server.port)
      assert.equal(client.getPeerCertificate().subject.CN, 'localhost')
      const [greeting] = (await once(client, 'data')) as [Buffer]
      assert.equal(greeting.toString(), '!')
      client.destroy()
      assert.deepEqual(handshakes.counts, { full: 1, resumed: 0, failed: 0, refused: 0 })
    })

    it(`takes clients of which something was read already, with ${what}`, async () => {
      const { front } = frontOf(config)
      await using server = await listening((socket) => {
        socket.once('data', (hello) => {
          socket.pause()
          socket.unshift(hello)
          front.accept(socket)
        })
      })
      const client = await connect(server.port)
      const [greeting] = (await once(client, 'data')) as [Buffer]
      assert.equal(greeting.toString(), '!')
      client.destroy()
    })

    it(`lets go of clients that leave during the handshake, with ${what}`, async () => {
      const { front, handshakes } = frontOf(config)
      const hello = await clientHello({ servername: 'one.test' })
      for (const [index, begun] of [hello, hello.subarray(0, 10), Buffer.alloc(0)].entries()) {
        await using server = await listening((socket) => front.accept(socket))
        await using client = await rawClient(server.port)
        client.write(begun)
        client.socket.end()
        await client.gone()
        assert.equal(handshakes.counts.failed, index + 1)
      }
    })
  }

  it('shows the certificate of the name, however the first bytes come', async () => {
    const { front } = frontOf(both)
    for (const [servername, subject] of [
      ['one.test', 'localhost'],
      ['other.test', 'chat.example.com'],
    ] as const) {
      await using server = await listening((socket) => front.accept(socket))
      const client = await connect(server.port, { servername })
      assert.equal(client.getPeerCertificate().subject.CN, subject)
      client.destroy()
      const hello = await clientHello({ servername })
      await using slow = await rawClient(server.port)
      slow.socket.setNoDelay(true)
      for (const byte of hello) slow.write(Buffer.of(byte))
      assert.equal(await slow.bytes(1), '\x16')
    }
  })

  it('tells of a client that speaks no TLS, and of one that is too slow, and closes one that is silent', async () => {
    const { front, failures, handshakes } = frontOf({ ...files, handshakeTimeoutMs: 50 })
    await using server = await listening((socket) => front.accept(socket))
    await using wrong = await rawClient(server.port)
    wrong.write('GET / HTTP/1.1\r\n\r\n')
    await wrong.gone()
    await using silent = await rawClient(server.port)
    await silent.gone()
    await using slow = await rawClient(server.port)
    slow.write(await clientHello())
    await slow.gone()
    assert.deepEqual(failures, ['ERR_SSL_HTTP_REQUEST', 'ERR_TLS_HANDSHAKE_TIMEOUT'])
    assert.equal(handshakes.counts.failed, 3)
  })

  it('takes no client that has left, and none beyond the limit once its ClientHello is there', async () => {
    const { front, handshakes } = frontOf(files)
    handshakes.max = 0
    front.accept(new net.Socket().destroy())
    await using server = await listening((socket) => front.accept(socket))
    await using client = await rawClient(server.port)
    const hello = await clientHello()
    client.write(hello.subarray(0, -1))
    await settled(() => client.socket.bytesRead)
    assert.equal(handshakes.counts.refused, 0)
    client.write(hello.subarray(-1))
    await client.gone()
    assert.equal(handshakes.counts.refused, 1)
  })

  it('lets an address have its share of handshakes in progress, in which silent clients have no part', async () => {
    const handshakes = new Handshakes(({ remoteAddress }) => remoteAddress)
    handshakes.max = 40
    const failed = Promise.withResolvers<void>()
    const onFailed = (): void => failed.resolve()
    const { front } = frontOf(files, { handshakes, onFailed })
    await using server = await listening((socket) => front.accept(socket))
    await using clients = new AsyncDisposableStack()
    const stuck = []
    for (let count = 0; count < 50; count += 1) clients.use(await rawClient(server.port))
    const hello = await clientHello()
    for (let count = 0; count < 5; count += 1) {
      const client = clients.use(await rawClient(server.port))
      client.write(hello)
      // The server has begun, and waits for the client's part.
      await client.bytes(1)
      stuck.push(client)
    }
    await using sixth = await rawClient(server.port)
    sixth.write(hello)
    await sixth.gone()
    assert.deepEqual({ ...handshakes.refused }, { full: 0, share: 1, address: '127.0.0.1' })
    await using other = await rawClient(server.port, '127.0.0.2')
    other.write(hello)
    await other.bytes(1)
    stuck[0]?.socket.destroy()
    await failed.promise
    ;(await connect(server.port)).destroy()
  })

  it('refuses tickets of other keys', async () => {
    const { front } = frontOf(files, { onSecure: (socket) => socket.write('!') })
    await using server = await listening((socket) => front.accept(socket))
    const begun = await connect(server.port)
    const [session] = (await once(begun.resume(), 'session')) as [Buffer]
    begun.destroy()
    const isResumed = async (): Promise<boolean> => {
      const client = await connect(server.port, { session })
      const reused = client.isSessionReused()
      client.destroy()
      return reused
    }
    assert.equal(await isResumed(), true)
    front.rotate(Buffer.alloc(48, 2))
    assert.equal(await isResumed(), false)
  })

  it('differs from another one by the content of its files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-tls-'))
    const copy = { cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') }
    await writeFile(copy.cert, await readFile(filesIn('tls').cert))
    await writeFile(copy.key, await readFile(filesIn('tls').key))
    const { front } = frontOf(files)
    assert.equal(frontOf(tlsConfig(copy)).front.differsFrom(front), false)
    assert.equal(frontOf(otherFiles).front.differsFrom(front), true)
    assert.equal(frontOf(both).front.differsFrom(front), true)
    await rm(folder, { recursive: true })
  })
})
