import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { join as joinPath } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Side } from '../../src/relay/relay.ts'
import { packBlocks } from '../../src/request/address-blocks.ts'
import { runProgram, RunningProgram } from '../support/programs.ts'
import { readBytes, readToEnd, socketPair } from '../support/socket-pair.ts'
import { withNative } from '../support/test-relay.ts'
import { join, NO_LIMITS } from './joined.ts'
import { relayCases } from './relay-cases.ts'
import { startNative } from './started-native.ts'
import { openTunnel } from '../support/watched-tunnel.ts'

relayCases('the native relay', () => startNative(), withNative)

function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/relay/${name}`, import.meta.url))
}

const plain = (socket: net.Socket): Side => ({ socket, unread: [], ended: false })

describe('what the native relay takes over', withNative, () => {
  it('sends bytes that node had read by itself first', async () => {
    using started = startNative()
    const [a, b] = [await socketPair(), await socketPair()]
    a.peer.write('early, ')
    b.peer.write('soon, ')
    await Promise.all([once(a.socket, 'readable'), once(b.socket, 'readable')])
    const tunnel = openTunnel(started.relay, plain(a.socket), plain(b.socket), NO_LIMITS)
    a.peer.end('late')
    b.peer.end('later')
    assert.equal(String(await readToEnd(b.peer)), 'early, late')
    assert.equal(String(await readToEnd(a.peer)), 'soon, later')
    const { bytesUp, bytesDown } = await tunnel.ended
    assert.deepEqual([bytesUp, bytesDown, started.left], [11, 11, 0])
  })

  it('leaves no socket to node, and closes none before the tunnel ends', async () => {
    using started = startNative()
    const [a, b] = [await socketPair(), await socketPair()]
    const closed = Promise.all([once(a.socket, 'close'), once(b.socket, 'close')])
    const tunnel = openTunnel(started.relay, plain(a.socket), plain(b.socket), NO_LIMITS)
    await closed
    a.peer.write('through')
    assert.equal(String(await readBytes(b.peer, 7)), 'through')
    a.peer.end()
    b.peer.end()
    await Promise.all([readToEnd(a.peer), readToEnd(b.peer)])
    assert.equal((await tunnel.ended).reason, 'eof')
  })

  it('gives back the place among the connections of a listener when the tunnel ends', async () => {
    using started = startNative()
    const places: string[] = []
    await using joined = await join(started.relay, {
      clientSide: {
        lend: () => {
          places.push('lent')
          return () => places.push('returned')
        },
      },
    })
    assert.deepEqual(places, ['lent'])
    joined.client.end()
    joined.upstream.end()
    await joined.tunnel.ended
    assert.deepEqual(places, ['lent', 'returned'])
  })

  it('tells the same of a tunnel after its end, and lets it be closed once more', async () => {
    using started = startNative()
    await using joined = await join(started.relay)
    joined.client.end('four')
    await readToEnd(joined.upstream)
    joined.upstream.end('and')
    const end = await joined.tunnel.ended
    // Its number belongs to another one now.
    await using _ = await join(started.relay)
    joined.tunnel.close('admin', 'drain', { frame: undefined, timeoutMs: 0 })
    const { bytesUp, bytesDown } = joined.tunnel
    assert.deepEqual({ bytesUp, bytesDown }, { bytesUp: end.bytesUp, bytesDown: end.bytesDown })
  })
})

describe('what the native relay leaves to the portable one', withNative, () => {
  it('is a TLS socket', async () => {
    using started = startNative()
    const pem = (name: string): Promise<string> =>
      readFile(joinPath(import.meta.dirname, '../fixtures/tls', name), 'utf8')
    const [ca, cert, key] = await Promise.all([pem('ca.pem'), pem('cert.pem'), pem('key.pem')])
    const server = tls.createServer({ cert, key, allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
    const peer = tls.connect({ ca, port, host: '127.0.0.1', servername: 'localhost' })
    const [socket] = await accepted
    await using b = await socketPair()
    const tunnel = openTunnel(started.relay, plain(socket), plain(b.socket), NO_LIMITS)
    peer.write('secret')
    assert.equal(String(await readBytes(b.peer, 6)), 'secret')
    b.peer.write('answer')
    assert.equal(String(await readBytes(peer, 6)), 'answer')
    peer.end()
    b.peer.end()
    assert.equal((await tunnel.ended).by, 'client')
    assert.equal(started.left, 1)
    server.close()
    await once(server, 'close')
  })

  it('is a socket with bytes that node has yet to write', async () => {
    using started = startNative()
    const [a, b] = [await socketPair(), await socketPair()]
    const unsent = Buffer.alloc(16 * 1024 * 1024, 'x')
    a.socket.write(unsent)
    assert.ok(a.socket.writableLength > 0)
    const tunnel = openTunnel(started.relay, plain(a.socket), plain(b.socket), NO_LIMITS)
    b.peer.end('behind')
    const received = await readToEnd(a.peer)
    assert.equal(received.length, unsent.length + 6)
    assert.equal(String(received.subarray(-6)), 'behind')
    a.peer.end()
    await readToEnd(b.peer)
    assert.equal((await tunnel.ended).bytesDown, 6)
    assert.equal(started.left, 1)
  })

  it('is a socket that node has ended', async () => {
    using started = startNative()
    const [a, b] = [await socketPair(), await socketPair()]
    b.socket.end()
    await readToEnd(b.peer)
    const tunnel = openTunnel(started.relay, plain(a.socket), plain(b.socket), NO_LIMITS)
    b.peer.end('over')
    assert.equal(String(await readToEnd(a.peer)), 'over')
    a.peer.end()
    await tunnel.ended
    assert.equal(started.left, 1)
  })

  for (const { spare, left } of [
    { spare: 0, left: 1 },
    { spare: 1, left: 1 },
    { spare: 2, left: 0 },
  ]) {
    it(`is ${left === 1 ? 'one' : 'none'} when ${spare} descriptors are left, and no byte is lost`, async () => {
      const script = fixture('last-descriptors.ts')
      const command = 'ulimit -n 100 && exec "$@"'
      const args = ['-c', command, 'sh', process.execPath, script, String(spare)]
      const exit = await runProgram('/bin/sh', args)
      assert.equal(exit.stderr, '')
      assert.deepEqual(JSON.parse(exit.stdout), {
        left,
        up: 'up 1, up 2, up 3',
        down: 'head, down 1, down 2, down 3',
        by: 'client',
        reason: 'eof',
        bytesUp: 16,
        bytesDown: 22,
      })
    })
  }
})

describe('clients of the native relay', withNative, () => {
  it('count under a limit that comes later, as sockets of node too', async () => {
    using started = startNative()
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle
    const sockets: net.Socket[] = []
    const noLimits = {
      headTimeoutMs: Infinity,
      connectionsMax: Infinity,
      shareMax: Infinity,
      exempt: new Uint8Array(),
    }
    const options = { ...noLimits, fd, highWaterMark: 65_536 }
    const accepting = started.native.accept(options, (held) => ({
      onText: () => {
        const socket = held.toSocket()
        sockets.push(socket)
        socket.write('welcome')
      },
      onLate: () => assert.fail(),
      onFin: () => assert.fail(),
      onReset: () => assert.fail(),
    }))
    server.close()
    async function knock(): Promise<{ readonly client: net.Socket; readonly answer: string }> {
      const client = net.connect({ port, host: '127.0.0.1' })
      client.on('error', () => {}).write('x')
      return { client, answer: String(await readBytes(client, 7).catch(() => '')) }
    }
    const first = await knock()
    accepting.adjust({ ...noLimits, connectionsMax: 1 })
    assert.deepEqual([first.answer, (await knock()).answer], ['welcome', ''])
    const [socket] = sockets as [net.Socket]
    socket.destroy()
    await once(socket, 'close')
    const second = await knock()
    assert.deepEqual([second.answer, (await knock()).answer], ['welcome', ''])
    accepting.adjust(noLimits)
    const third = await knock()
    assert.equal(third.answer, 'welcome')
    accepting.adjust({ ...noLimits, shareMax: 3 })
    assert.equal((await knock()).answer, 'welcome')
    assert.equal((await knock()).answer, '')
    const refused = { full: 2, share: 1, starved: 0, address: '127.0.0.1' }
    assert.deepEqual(accepting.refused, refused)
    accepting.adjust({ ...noLimits, shareMax: 3, exempt: packBlocks(['127.0.0.0/8']) })
    assert.equal((await knock()).answer, 'welcome')
    assert.deepEqual(accepting.refused, refused)
    accepting.stop()
    accepting.adjust({ ...noLimits, headTimeoutMs: 1, connectionsMax: 1 })
    for (const { client } of [first, second, third]) client.destroy()
    for (const each of sockets) each.destroy()
  })
})

describe('a process with a native relay', withNative, () => {
  for (const then of ['stop', 'leave']) {
    it(`lives while a tunnel is open and ends after it (${then})`, async () => {
      const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
      const peers: net.Socket[] = []
      server.on('connection', (socket) => peers.push(socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as net.AddressInfo
      const args = [fixture('one-tunnel.ts'), String(port), then]
      await using program = new RunningProgram(process.execPath, args)
      while (peers.length < 2) await once(server, 'connection')
      const [client, upstream] = peers as [net.Socket, net.Socket]
      for (let turn = 0; turn < 20; turn += 1) {
        client.write('ping')
        assert.equal(String(await readBytes(upstream, 4)), 'ping')
        upstream.write('pong')
        assert.equal(String(await readBytes(client, 4)), 'pong')
      }
      assert.equal(program.child.exitCode, null)
      client.end()
      upstream.end()
      const { code, stdout, stderr } = await program.exited
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'eof\n', stderr: '' })
      server.close()
      await once(server, 'close')
    })
  }
})
