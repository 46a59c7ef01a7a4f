import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type net from 'node:net'
import { join as joinPath } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { relayPortably } from '../../src/relay/portable.ts'
import type { Relay, Side } from '../../src/relay/relay.ts'
import { Sweep } from '../../src/relay/sweep.ts'
import type { TunnelEnd } from '../../src/relay/tunnel-end.ts'
import type { TunnelPolicy } from '../../src/relay/tunnel-policy.ts'
import { readToEnd, socketPair, type SocketPair } from '../support/socket-pair.ts'
import { CLOSE_FRAMES, tunnelPolicy } from '../support/tunnel-policy.ts'
import { openTunnel, type WatchedTunnel } from '../support/watched-tunnel.ts'
import { FramePeer } from './frame-peer.ts'
import { upFrame, CLOSE, PONG, TEXT } from './made-frames.ts'
import { relayCases } from './relay-cases.ts'

const sweep = new Sweep()
const relay: Relay = (client, upstream, start) => relayPortably(client, upstream, start, sweep)
const KEEPALIVE = { pingMs: 30, timeoutMs: 150, upstream: false }

relayCases('the portable relay', () => ({ relay, stop: () => {} }))

const plain = (socket: net.Socket): Side => ({ socket, unread: [], ended: false })

function open(a: SocketPair, b: SocketPair, policy: Partial<TunnelPolicy>): WatchedTunnel {
  const start = { head: '', policy: tunnelPolicy(policy) }
  return openTunnel(relay, plain(a.socket), plain(b.socket), start)
}

/** Two connected sockets that speak TLS; the peer has connected. */
async function tlsPair(): Promise<SocketPair> {
  const pem = (name: string): Promise<string> =>
    readFile(joinPath(import.meta.dirname, '../fixtures/tls', name), 'utf8')
  const [ca, cert, key] = await Promise.all([pem('ca.pem'), pem('cert.pem'), pem('key.pem')])
  const server = tls.createServer({ cert, key, allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
  const peer = tls.connect({ ca, port, host: '127.0.0.1', servername: 'localhost' })
  const [socket] = await accepted
  server.close()
  return {
    peer,
    socket,
    async [Symbol.asyncDispose]() {
      peer.destroy()
      socket.destroy()
      for (const end of [peer, socket]) if (!end.closed) await once(end, 'close')
    },
  }
}

describe('the portable relay, below its frames', () => {
  for (const [kind, pair] of [
    ['TLS', tlsPair],
    ['a unix socket', () => socketPair('unix')],
  ] as const) {
    it(`pings and closes over ${kind}`, async () => {
      await using a = await pair()
      await using b = await socketPair('unix')
      const keepalive = { ...KEEPALIVE, timeoutMs: 5000 }
      const tunnel = open(a, b, { frames: true, keepalive })
      const client = new FramePeer('client', a.peer)
      const upstream = new FramePeer('upstream', b.peer)
      client.send(PONG, await client.getsPing())
      client.send(TEXT, 'behind the pong')
      await upstream.gets(upFrame(TEXT, 'behind the pong'))
      tunnel.close('admin', 'kill', { frame: CLOSE_FRAMES.kill, timeoutMs: 5000 })
      for (const peer of [client, upstream]) {
        assert.equal(await peer.isTold(), CLOSE_FRAMES.kill.code)
        peer.send(CLOSE)
        await peer.getsFin()
      }
      const { reason, webSocket } = await tunnel.ended
      assert.equal(reason, 'kill')
      assert.deepEqual(webSocket?.close, { by: 'admin', code: CLOSE_FRAMES.kill.code })
      assert.deepEqual([webSocket?.up.text, webSocket?.up.pong], [1, 0])
    })
  }

  for (const { upstream, pingMs, watched } of [
    { upstream: false, pingMs: 30_000, watched: [['client', true, 30_000]] },
    {
      upstream: true,
      pingMs: 20,
      watched: [
        ['client', true, 1000],
        ['upstream', true, 1000],
      ],
    },
  ]) {
    it(`has TCP watch ${watched.map(([who]) => String(who)).join(' and ')}, whatever is spoken`, async () => {
      await using a = await socketPair()
      await using b = await socketPair()
      const calls: unknown[] = []
      for (const [who, { socket }] of Object.entries({ client: a, upstream: b })) {
        socket.setKeepAlive = (...args) => {
          calls.push([who, ...args])
          return socket
        }
      }
      const keepalive = { pingMs, timeoutMs: 10_000, upstream }
      const tunnel = open(a, b, { frames: false, keepalive })
      assert.deepEqual(calls, watched)
      a.peer.end()
      b.peer.end()
      await Promise.all([readToEnd(a.peer), readToEnd(b.peer), tunnel.ended])
    })
  }

  it('does not take for dead who has answered while the process was busy', async () => {
    await using a = await socketPair()
    await using b = await socketPair()
    const tunnel = open(a, b, { frames: true, keepalive: KEEPALIVE })
    const client = new FramePeer('client', a.peer)
    const payload = await client.getsPing()
    await new Promise<void>((resolve) => a.peer.write(upFrame(PONG, payload), () => resolve()))
    const endMs = performance.now() + 2.5 * KEEPALIVE.timeoutMs
    while (performance.now() < endMs);
    assert.deepEqual(await client.getsPing(), payload)
    assert.equal(tunnel.read().webSocket?.up.pong, 0)
  })

  it('has nothing to watch of sockets that were closed before they were joined', async () => {
    await using a = await socketPair()
    await using b = await socketPair()
    for (const { socket } of [a, b]) {
      socket.destroy()
      await once(socket, 'close')
    }
    const watched = new Set<unknown>()
    const own = new Sweep()
    own.watch = (swept) => void watched.add(swept)
    own.unwatch = (swept) => void watched.delete(swept)
    const { promise: ended, resolve } = Promise.withResolvers<TunnelEnd>()
    const start = { head: '', policy: tunnelPolicy(), listener: { onEnd: resolve } }
    relayPortably(plain(a.socket), plain(b.socket), start, own)
    assert.equal((await ended).reason, 'error')
    assert.equal(watched.size, 0)
  })

  it('takes for dead whom TCP gives up, where the route watches him', async () => {
    await using a = await socketPair()
    await using b = await socketPair()
    const tunnel = open(a, b, { frames: true, keepalive: { ...KEEPALIVE, pingMs: 60_000 } })
    const upstream = new FramePeer('upstream', b.peer)
    a.socket.destroy(timedOut())
    const { code, text } = CLOSE_FRAMES.dead
    await upstream.getsClose(code, text)
    b.peer.end()
    const { by, reason, cause } = await tunnel.ended
    assert.deepEqual({ by, reason, cause }, { by: 'gateway', reason: 'dead', cause: 'ETIMEDOUT' })
  })

  for (const [name, policy, ended] of [
    ['a watched client', { keepalive: KEEPALIVE }, { by: 'gateway', reason: 'dead' }],
    ['a client that nobody watches', {}, { by: 'client', reason: 'error' }],
  ] as const) {
    it(`resets the upstream when TCP gives up ${name} of another protocol`, async () => {
      await using a = await socketPair()
      await using b = await socketPair()
      const tunnel = open(a, b, policy)
      const failed = once(b.peer, 'error') as Promise<[NodeJS.ErrnoException]>
      a.socket.destroy(timedOut())
      assert.equal((await failed)[0].code, 'ECONNRESET')
      const { by, reason, cause } = await tunnel.ended
      assert.deepEqual({ by, reason, cause }, { ...ended, cause: 'ETIMEDOUT' })
    })
  }
})

/** What a socket says whose peer has answered nothing for too long. */
function timedOut(): Error {
  return Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })
}
