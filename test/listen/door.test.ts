import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Acceptor } from '../../src/relay/acceptor.ts'
import { bind } from '../../src/listen/bind.ts'
import { openDoor } from '../../src/listen/door.ts'
import { handshake, rawClient, type RawClient } from '../support/raw-client.ts'
import { sendText } from '../support/send-text.ts'
import { settled } from '../support/settled.ts'
import { readBytes, socketPair } from '../support/socket-pair.ts'
import { withNative } from '../support/test-relay.ts'
import { openTunnel } from '../support/watched-tunnel.ts'
import { NO_LIMITS } from '../relay/joined.ts'
import { startNative } from '../relay/started-native.ts'
import { CONFIG, held, startTestListener, type TestListener } from './test-listener.ts'

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'

async function answerOf(client: RawClient): Promise<string> {
  const { status, body } = await client.answer()
  assert.equal(status, 200)
  return body
}

/** A client that found a place, and whose handshake is decided on. */
async function admitted(door: TestListener): Promise<RawClient> {
  for (;;) {
    const client = await rawClient(door.port)
    client.write(handshake())
    const upgraded = door.upgraded()
    const isAdmitted = await Promise.race([upgraded.then(() => true), client.gone()])
    if (isAdmitted === true) return client
  }
}

describe('a door', withNative, () => {
  it('says what node says when it cannot be opened', async () => {
    await using first = await startTestListener()
    const taken = { kind: 'tcp', host: '127.0.0.1', port: first.port } as const
    await assert.rejects(startTestListener({ address: taken }), {
      code: 'EADDRINUSE',
      syscall: 'listen',
    })
    // A label is at most 63 bytes long, so that no name server is asked.
    const nowhere = { kind: 'tcp', host: `${'a'.repeat(64)}.invalid`, port: 0 } as const
    await assert.rejects(startTestListener({ address: nowhere }), { code: 'ENOTFOUND' })
  })

  it('says which error keeps the relay from accepting', async () => {
    using started = startNative()
    const options = {
      fd: 1_000_000,
      headTimeoutMs: 1000,
      connectionsMax: Infinity,
      shareMax: Infinity,
      exempt: new Uint8Array(),
      highWaterMark: 65_536,
    }
    assert.throws(() => started.native.accept(options, () => assert.fail()), {
      code: 'EBADF',
      syscall: 'listen',
    })
  })

  it('leaves the port to others when the relay cannot accept', async () => {
    const failing: Acceptor = {
      accept() {
        throw Object.assign(new Error('no memory'), { code: 'ENOMEM' })
      },
    }
    const { server, address } = await bind(CONFIG, 1000)
    assert.ok(address.kind === 'tcp')
    const { port } = address
    const options = {
      headTimeoutMs: 1000,
      headBytesMax: 1000,
      connectionsMax: Infinity,
      shareMax: Infinity,
      exempt: new Uint8Array(),
      highWaterMark: 1000,
    }
    const handlers = { isForNode: () => false, onSocket() {}, onRequest() {}, onRefused() {} }
    assert.throws(() => openDoor(server, failing, options, handlers), { code: 'ENOMEM' })
    await once(server, 'close')
    await using again = await startTestListener({
      address: { kind: 'tcp', host: '127.0.0.1', port },
    })
    assert.equal(again.port, port)
  })

  it('hands a handshake on with its connection and what is behind it', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write(`${handshake('/chat')}\x81\x00`)
    const upgraded = await door.upgraded()
    const { head, connection: from, client: asking } = upgraded
    assert.deepEqual([head.method, head.target, head.httpVersion], ['GET', '/chat', '1.1'])
    assert.deepEqual(from, { peerAddress: '127.0.0.1', encrypted: false, localPort: door.port })
    assert.equal(held(upgraded).peerAddress, '127.0.0.1')
    const { unread, ended, socket } = asking.release()
    assert.deepEqual([Buffer.concat(unread).toString('latin1'), ended], ['\x81\x00', false])
    socket.destroy()
    await client.rest()
  })

  it('waits for a handshake that comes byte by byte', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.socket.setNoDelay(true)
    for (const byte of handshake('/slow')) {
      client.socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const upgraded = await door.upgraded()
    assert.equal(upgraded.head.target, '/slow')
    assert.equal(held(upgraded).peerAddress, '127.0.0.1')
    assert.equal(door.requests.length, 1)
    upgraded.client.destroy()
  })

  it("tells of a client's FIN behind its handshake, with it or after it", async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.socket.end(handshake())
    const upgraded = await door.upgraded()
    assert.equal(await upgraded.left, 'eof')
    upgraded.client.destroy()
    await client.gone()
  })

  it('tells of a reset behind a handshake', async () => {
    await using door = await startTestListener()
    const client = await rawClient(door.port)
    client.socket.write(handshake())
    client.socket.resetAndDestroy()
    const upgraded = await door.upgraded()
    assert.equal(await upgraded.left, 'reset')
    upgraded.client.destroy()
  })

  it('makes a socket of a connection whose handshake is answered otherwise', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write(handshake('/no'))
    assert.equal(await answerOf(client), 'GET /no ')
    client.write(GET)
    assert.equal(await answerOf(client), 'GET /a ')
    const [first, second] = door.requests
    assert.deepEqual(first?.connection, second?.connection)
  })

  it('hands on every request of a connection with all its bytes', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write(`${GET}${GET.replace('/a', '/b')}GET /c HT`)
    assert.equal(await answerOf(client), 'GET /a ')
    assert.equal(await answerOf(client), 'GET /b ')
    client.write('TP/1.1\r\nHost: a\r\n\r\n')
    assert.equal(await answerOf(client), 'GET /c ')
    client.write('POST /d HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody')
    assert.equal(await answerOf(client), 'POST /d body')
  })

  for (const [name, parts] of [
    ['in one segment with its body', ['POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody']],
    ['that comes in parts', ['P', 'OST /p HTTP/1.1\r\nContent-', 'Length: 4\r\n\r\nbo', 'dy']],
  ] as const) {
    it(`hands on a POST ${name}`, async () => {
      await using door = await startTestListener()
      await using client = await rawClient(door.port)
      client.socket.setNoDelay(true)
      for (const part of parts) {
        client.write(part)
        await settled(() => door.requests.length)
      }
      assert.equal(await answerOf(client), 'POST /p body')
    })
  }

  it("takes a handshake on a connection that has become node's", async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write(GET)
    await answerOf(client)
    client.write(`${handshake('/later')}early`)
    const { head, client: asking } = await door.upgraded()
    assert.equal(head.target, '/later')
    assert.equal(asking.held, undefined)
    const { socket, unread } = asking.release()
    assert.equal(Buffer.concat(unread).toString(), 'early')
    socket.destroy()
  })

  it('lets a socket that a handshake was refused on serve the next request', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write(handshake())
    const upgraded = await door.upgraded()
    assert.equal(held(upgraded).peerAddress, '127.0.0.1')
    await sendText(upgraded.client, () => 'no')
    assert.equal(await answerOf(client), 'no')
    client.write(GET)
    assert.equal(await answerOf(client), 'GET /a ')
  })
})

describe('what a door refuses', withNative, () => {
  it('is a head that is not whole in time', async () => {
    await using door = await startTestListener({ headTimeoutMs: 50 })
    await using client = await rawClient(door.port)
    client.write('GET / HTTP/1.1\r\nHost: ')
    assert.match(await client.rest(), /E_HEAD_TIMEOUT/)
    assert.deepEqual(door.broken, ['E_HEAD_TIMEOUT'])
  })

  it('is silence, without an answer', async () => {
    await using door = await startTestListener({ headTimeoutMs: 50 })
    await using client = await rawClient(door.port)
    assert.equal(await client.rest(), '')
    assert.deepEqual(door.broken, [])
  })

  it('is a FIN in the middle of a head', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.socket.end('GET / HTTP/1.1\r\nHo')
    assert.match(await client.rest(), /E_REQUEST_MALFORMED/)
  })

  it('is a head that is too big, whole or not', async () => {
    await using door = await startTestListener({ headBytesMax: 1024 })
    for (const end of ['', '\r\nUpgrade: tcp\r\n\r\n']) {
      await using client = await rawClient(door.port)
      client.write(`GET / HTTP/1.1\r\nA: ${'a'.repeat(2048)}${end}`)
      assert.match(await client.rest(), /E_HEAD_TOO_LARGE/)
    }
  })

  it('is what is no HTTP', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write('\x16\x03\x01')
    assert.match(await client.rest(), /E_REQUEST_MALFORMED/)
  })
})

describe('a door for a number of connections', withNative, () => {
  it('counts those that are held, and those that have said nothing', async () => {
    await using door = await startTestListener({ connectionsMax: 2 })
    await using asking = await rawClient(door.port)
    asking.write(handshake())
    const { client: asked } = await door.upgraded()
    assert.notEqual(asked.held, undefined)
    {
      await using silent = await rawClient(door.port)
      await using turnedAway = await rawClient(door.port)
      await turnedAway.gone()
      assert.equal(silent.socket.readyState, 'open')
    }
    await using next = await admitted(door)
    assert.equal(next.socket.readyState, 'open')
    asked.destroy()
    await asking.gone()
    await using another = await admitted(door)
    assert.equal(another.socket.readyState, 'open')
  })

  it("counts those that have become node's sockets until they are closed", async () => {
    await using door = await startTestListener({ connectionsMax: 1 })
    {
      await using client = await rawClient(door.port)
      client.write(GET)
      await answerOf(client)
      await using turnedAway = await rawClient(door.port)
      await turnedAway.gone()
      client.write(GET)
      await answerOf(client)
    }
    await using next = await admitted(door)
    assert.equal(next.socket.readyState, 'open')
  })

  for (const way of ['held', "node's socket", 'second request'] as const) {
    it(`counts a tunnel to its end (${way})`, async () => {
      await using door = await startTestListener({ connectionsMax: 1 })
      const client = await rawClient(door.port)
      if (way === 'second request') {
        client.write(GET)
        await answerOf(client)
      }
      client.write(handshake())
      const upgraded = await door.upgraded()
      await using upstream = await socketPair()
      assert.equal(upgraded.client.held === undefined, way === 'second request')
      if (way === "node's socket") assert.equal(upgraded.client.socket.destroyed, false)
      const side = upgraded.client.release()
      const other = { socket: upstream.socket, unread: [], ended: false }
      const limits = { ...NO_LIMITS, head: '101' }
      const tunnel = openTunnel(door.started.relay, side, other, limits)
      assert.equal(await client.bytes(3), '101')
      await using turnedAway = await rawClient(door.port)
      await turnedAway.gone()
      client.socket.destroy()
      upstream.peer.end()
      upstream.peer.resume()
      await tunnel.ended
      await using next = await admitted(door)
      assert.equal(next.socket.readyState, 'open')
      assert.equal(door.started.left, 0)
    })
  }

  it('counts the tunnel of a client that came over a unix socket, for whom there is no door', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-door-'))
    const path = join(folder, 'door.sock')
    {
      await using door = await startTestListener({
        address: { kind: 'unix', path },
        connectionsMax: 1,
      })
      await using client = await rawClient(path)
      client.write(handshake())
      const side = (await door.upgraded()).client.release()
      assert.notEqual(side.lend, undefined)
      await using upstream = await socketPair()
      const tunnel = openTunnel(
        door.started.relay,
        side,
        { socket: upstream.socket, unread: [], ended: false },
        NO_LIMITS,
      )
      client.write('through')
      assert.equal(String(await readBytes(upstream.peer, 7)), 'through')
      await using turnedAway = await rawClient(path)
      await turnedAway.gone()
      client.socket.end()
      upstream.peer.end()
      await tunnel.ended
      await using next = await rawClient(path)
      next.write(GET)
      assert.equal(await answerOf(next), 'GET /a ')
    }
    await rm(folder, { recursive: true })
  })

  it('gives a place back when its client resets the connection in the middle of a head', async () => {
    await using door = await startTestListener({ connectionsMax: 1 })
    const client = await rawClient(door.port)
    client.write('GET / HTTP')
    client.socket.resetAndDestroy()
    await using next = await admitted(door)
    assert.equal(next.socket.readyState, 'open')
    assert.deepEqual(door.broken, [])
  })
})

describe('a door that closes', withNative, () => {
  it('accepts nobody any more, and lets who is there finish', async () => {
    await using door = await startTestListener()
    await using asked = await rawClient(door.port)
    asked.write(handshake())
    const { client: first } = await door.upgraded()
    await using asking = await rawClient(door.port)
    asking.write('GET / HTTP/1.1\r\nUpgr')
    await using other = await admitted(door)
    void door.listener.stopAccepting()
    await assert.rejects(rawClient(door.port), { code: 'ECONNREFUSED' })
    asking.write('ade: tcp\r\nConnection: Upgrade\r\n\r\n')
    const { client: late } = await door.upgraded()
    for (const each of [first, late]) each.destroy()
    await asked.gone()
    await asking.gone()
    assert.equal(other.socket.readyState, 'open')
  })

  it('answers the first request of who came before, and closes', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write('GET')
    await using _ = await admitted(door)
    void door.listener.stopAccepting()
    client.write(' / HTTP/1.1\r\nHost: a\r\n\r\n')
    const { fields, body } = await client.answer()
    assert.deepEqual([fields.get('connection'), body], ['close', 'GET / '])
    assert.equal(await client.more(), false)
  })

  it('cuts the connections that are sockets when it is destroyed', async () => {
    await using door = await startTestListener()
    await using client = await rawClient(door.port)
    client.write('POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nsome')
    while (door.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    door.listener.destroy()
    await client.gone()
    await assert.rejects(once(net.connect(door.port, '127.0.0.1'), 'connect'), {
      code: 'ECONNREFUSED',
    })
    // Once more is nothing.
    door.listener.destroy()
    await door.listener.stopAccepting()
  })
})
