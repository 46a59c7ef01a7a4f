import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer, Socket } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { resetSocket } from '../../src/relay/reset.ts'

const fixtures = join(import.meta.dirname, '../fixtures/tls')

let ca = ''
let cert = ''
let key = ''

before(async () => {
  ca = await readFile(join(fixtures, 'ca.pem'), 'utf8')
  cert = await readFile(join(fixtures, 'cert.pem'), 'utf8')
  key = await readFile(join(fixtures, 'key.pem'), 'utf8')
})

/** Both ends of one connection. The sockets and the server are gone at the end of the block. */
interface Pair extends AsyncDisposable {
  readonly near: Socket
  readonly far: Socket
}

async function pair(server: Server, event: string, dial: () => Promise<Socket>): Promise<Pair> {
  if (!server.listening) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  const accepted = once(server, event) as Promise<[Socket]>
  const near = await dial()
  const [far] = await accepted
  for (const socket of [near, far]) socket.on('error', () => {})
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near.destroy()
      far.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function dialTcp(server: Server): Promise<Socket> {
  const { port } = server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

function tcpPair(): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true })
  return pair(server, 'connection', () => dialTcp(server))
}

async function unixPair(path: string): Promise<Pair> {
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  return pair(server, 'connection', async () => {
    const socket = connect({ path })
    await once(socket, 'connect')
    return socket
  })
}

async function tlsPair(server: Server, isOverSocket: boolean): Promise<Pair> {
  const peers = await pair(server, 'secureConnection', async () => {
    const { port } = server.address() as AddressInfo
    const way = isOverSocket ? { socket: await dialTcp(server) } : { host: '127.0.0.1', port }
    const socket = connectTls({ ...way, servername: 'localhost', ca })
    await once(socket, 'secureConnect')
    return socket
  })
  // The session tickets of TLS 1.3 are on their way until the first data; a write that meets the reset would hide it.
  peers.far.write('ready')
  await once(peers.near, 'data')
  return peers
}

/** How a socket ends: `reset`, or `end` for an orderly close. */
async function endOf(socket: Socket): Promise<string> {
  const ended = Promise.withResolvers<string>()
  socket.on('error', (error: NodeJS.ErrnoException) => ended.resolve(error.code ?? ''))
  socket.on('end', () => ended.resolve('end'))
  socket.resume()
  return ended.promise
}

/** Fills the connection until it takes nothing more, as its other end does not read. */
async function stall(socket: Socket): Promise<void> {
  const chunk = Buffer.alloc(1024 * 1024)
  for (;;) {
    const flushed = Promise.withResolvers<boolean>()
    socket.write(chunk, () => flushed.resolve(true))
    // The kernel takes what it has room for at once; a write that waits for a poll has met a full buffer.
    setImmediate(() => setImmediate(() => flushed.resolve(false)))
    if (!(await flushed.promise)) return
  }
}

function closeOf(socket: Socket): Promise<void> {
  const closed = Promise.withResolvers<void>()
  socket.on('close', () => closed.resolve())
  return closed.promise
}

function failOnError(socket: Socket): void {
  socket.removeAllListeners('error')
  socket.on('error', (error) => assert.fail(`an error event came: ${error.message}`))
}

describe('resetSocket', () => {
  it('resets a TCP connection from either end', async () => {
    for (const end of ['near', 'far'] as const) {
      await using peers = await tcpPair()
      const other = end === 'near' ? peers.far : peers.near
      const ending = endOf(other)
      resetSocket(peers[end])
      assert.equal(peers[end].destroyed, true)
      assert.equal(await ending, 'ECONNRESET')
    }
  })

  for (const [name, create] of [
    ['tls.Server', () => createTlsServer({ cert, key })],
    ['https.Server', () => createHttpsServer({ cert, key }) as Server],
  ] as const) {
    it(`resets the connection of a client of a ${name}`, async () => {
      await using peers = await tlsPair(create(), true)
      const ending = endOf(peers.near)
      resetSocket(peers.far)
      assert.equal(peers.far.destroyed, true)
      assert.equal(await ending, 'ECONNRESET')
    })

    it(`resets the connection to a ${name}`, async () => {
      await using peers = await tlsPair(create(), true)
      const ending = endOf(peers.far)
      resetSocket(peers.near)
      assert.equal(peers.near.destroyed, true)
      assert.equal(await ending, 'ECONNRESET')
    })
  }

  for (const event of ['secureConnection', 'data']) {
    it(`resets a TLS connection while OpenSSL is on the stack (${event})`, async () => {
      const server = createTlsServer({ cert, key }, (socket) => {
        socket.on('error', () => {})
        if (event === 'data') socket.on('data', () => resetSocket(socket))
        else resetSocket(socket)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const near = connectTls({ socket: await dialTcp(server), servername: 'localhost', ca })
      const ending = endOf(near)
      near.write('hello')
      assert.equal(await ending, 'ECONNRESET')
      server.close()
      await once(server, 'close')
    })
  }

  it('closes a TLS connection whose TCP socket it cannot reach', async () => {
    await using peers = await tlsPair(createTlsServer({ cert, key }), false)
    const closed = closeOf(peers.far)
    peers.far.resume()
    resetSocket(peers.near)
    assert.equal(peers.near.destroyed, true)
    await closed
  })

  it('closes a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'reset-'))
    {
      await using peers = await unixPair(join(folder, 'app.sock'))
      const ending = endOf(peers.far)
      resetSocket(peers.near)
      assert.equal(peers.near.destroyed, true)
      assert.equal(await ending, 'end')
    }
    await rm(folder, { recursive: true })
  })

  it('drops what a peer that does not read has not taken, also after an end', async () => {
    for (const [isTls, isEnded] of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ]) {
      const server = createTlsServer({ cert, key })
      await using peers = await (isTls === true ? tlsPair(server, true) : tcpPair())
      await stall(peers.near)
      if (isEnded === true) peers.near.end()
      failOnError(peers.near)
      const closed = closeOf(peers.near)
      resetSocket(peers.near)
      assert.equal(await endOf(peers.far), 'ECONNRESET')
      await closed
    }
  })

  it('closes without an error a connection whose FIN is just being sent', async () => {
    await using peers = await tcpPair()
    failOnError(peers.near)
    const closed = closeOf(peers.near)
    await new Promise((resolve) => peers.near.write('the whole', resolve))
    peers.near.end()
    resetSocket(peers.near)
    await closed
    assert.equal(await endOf(peers.far), 'end')
  })

  it('resets a connection after its FIN went out', async () => {
    await using peers = await tcpPair()
    const ending = once(peers.far, 'end')
    peers.far.resume()
    peers.near.end()
    await ending
    const failing = once(peers.far, 'error')
    const closed = closeOf(peers.near)
    resetSocket(peers.near)
    await closed
    peers.far.write('to nobody')
    const [error] = (await failing) as [NodeJS.ErrnoException]
    assert.ok(error.code === 'EPIPE' || error.code === 'ECONNRESET', error.code)
  })

  it('does nothing to a destroyed socket', async () => {
    await using peers = await tcpPair()
    failOnError(peers.near)
    const closed = closeOf(peers.near)
    peers.near.destroy()
    resetSocket(peers.near)
    await closed
  })

  it('gives up a connection that is not there yet', async () => {
    await using peers = await tcpPair()
    const { remotePort = 0 } = peers.near
    const socket = new Socket().connect({ host: '127.0.0.1', port: remotePort })
    failOnError(socket)
    const closed = closeOf(socket)
    resetSocket(socket)
    assert.equal(socket.destroyed, true)
    await closed
  })
})
