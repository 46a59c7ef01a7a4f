/** What every relay does: the same cases for the portable one and for the native one. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { Relay } from '../../src/relay/relay.ts'
import { settled } from '../support/settled.ts'
import { readBytes, readToEnd, socketPair } from '../support/socket-pair.ts'
import { tunnelPolicy } from '../support/tunnel-policy.ts'
import { openTunnel } from '../support/watched-tunnel.ts'
import { join, NO_LIMITS, roundTrip } from './joined.ts'
import { relayFrameCases } from './relay-frame-cases.ts'

export interface StartedRelay {
  readonly relay: Relay
  stop(): void
}

/** The relay that `start` starts moves the bytes of all its tunnels in one thread. */
export function relayCases(
  name: string,
  start: () => StartedRelay,
  options: { readonly skip?: string | false } = {},
): void {
  describe(name, options, () => {
    let started!: StartedRelay
    const relay: Relay = (...sides) => started.relay(...sides)
    before(() => {
      started = start()
    })
    after(() => started.stop())

    it('sends the head to the client before all else, and counts it for nobody', async () => {
      const head = 'HTTP/1.1 101 \xdcber\r\n\r\n'
      await using joined = await join(relay, {
        limits: { ...NO_LIMITS, head },
        upstreamSide: { unread: [Buffer.from('first')] },
      })
      joined.upstream.write(', second')
      const received = await readBytes(joined.client, head.length + 13)
      assert.equal(received.toString('latin1'), `${head}first, second`)
      assert.equal(joined.tunnel.bytesDown, 13)
    })

    it('sends unread bytes of either side first', async () => {
      await using joined = await join(relay, {
        clientSide: { unread: [Buffer.from('cli'), Buffer.from('ent,')] },
        upstreamSide: { unread: [Buffer.from('upstream,')] },
      })
      const { client, upstream } = joined
      client.write('more up')
      upstream.write('more down')
      assert.equal(String(await readBytes(upstream, 14)), 'client,more up')
      assert.equal(String(await readBytes(client, 18)), 'upstream,more down')
      assert.equal(joined.tunnel.bytesUp, 14)
      assert.equal(joined.tunnel.bytesDown, 18)
    })

    it('passes a FIN on and keeps the other direction open', async () => {
      await using joined = await join(relay)
      const { client, upstream, tunnel } = joined
      client.end('last words')
      assert.equal(String(await readToEnd(upstream)), 'last words')
      upstream.write('still ')
      assert.equal(String(await readBytes(client, 6)), 'still ')
      upstream.end('talking')
      assert.equal(String(await readToEnd(client)), 'talking')
      const end = await tunnel.ended
      assert.deepEqual({ by: end.by, reason: end.reason }, { by: 'client', reason: 'eof' })
    })

    it('passes a FIN on that was read before the relay began', async () => {
      const [a, b] = [await socketPair(), await socketPair()]
      a.peer.end('all')
      const unread = [await readToEnd(a.socket)]
      const tunnel = openTunnel(
        relay,
        { socket: a.socket, unread, ended: true },
        { socket: b.socket, unread: [], ended: false },
        NO_LIMITS,
      )
      assert.equal(String(await readToEnd(b.peer)), 'all')
      b.peer.end('answer')
      assert.equal(String(await readToEnd(a.peer)), 'answer')
      const end = await tunnel.ended
      assert.deepEqual([end.by, end.reason, end.bytesUp, end.bytesDown], ['client', 'eof', 3, 6])
    })

    for (const [who, other] of [
      ['client', 'upstream'],
      ['upstream', 'client'],
    ] as const) {
      it(`passes a reset of the ${who} on as a reset`, async () => {
        await using joined = await join(relay)
        const failed = once(joined[other], 'error')
        joined[other].resume()
        joined[who].resetAndDestroy()
        const [error] = (await failed) as [NodeJS.ErrnoException]
        assert.equal(error.code, 'ECONNRESET')
        const end = await joined.tunnel.ended
        assert.deepEqual([end.by, end.reason, end.cause], [who, 'reset', 'ECONNRESET'])
      })
    }

    it('tells a reset after a FIN as a reset by the one who sent it', async () => {
      await using joined = await join(relay)
      joined.client.end()
      await readToEnd(joined.upstream)
      joined.client.on('error', () => {})
      joined.client.resume()
      joined.upstream.resetAndDestroy()
      const end = await joined.tunnel.ended
      assert.deepEqual([end.by, end.reason], ['upstream', 'reset'])
    })

    it('stalls the writer when the reader stalls, and loses nothing', async () => {
      await using joined = await join(relay)
      await using other = await join(relay)
      const { client, upstream, tunnel } = joined
      const total = 64 * 1024 * 1024
      let sent = 0
      const chunk = Buffer.alloc(65_536, 'x')
      function pump(): void {
        while (sent < total) {
          sent += chunk.length
          if (!client.write(chunk)) return
        }
        client.end()
      }
      client.on('drain', pump)
      pump()
      // Nobody reads: the buffers on the way fill up and the client's own stays full.
      await settled(
        () => tunnel.bytesUp,
        () => roundTrip(other),
      )
      assert.ok(client.writableNeedDrain)
      assert.ok(tunnel.bytesUp < total / 2, `${tunnel.bytesUp} bytes were read ahead`)
      const received = await readToEnd(upstream)
      assert.equal(received.length, total)
      upstream.end()
      assert.equal((await tunnel.ended).bytesUp, total)
    })

    it('ends an idle tunnel with a FIN to both peers', async () => {
      await using joined = await join(relay, {
        limits: { head: '', policy: tunnelPolicy({ idleMs: 80 }) },
      })
      const { client, upstream, tunnel } = joined
      client.write('x')
      await readBytes(upstream, 1)
      assert.equal((await readToEnd(client)).length, 0)
      assert.equal((await readToEnd(upstream)).length, 0)
      client.end()
      upstream.end()
      const end = await tunnel.ended
      assert.deepEqual([end.by, end.reason, end.bytesUp], ['gateway', 'idle', 1])
      // The native relay's clock counts whole milliseconds.
      assert.ok(end.durationMs >= 79, `${end.durationMs} ms`)
    })

    it('ends a busy tunnel at its lifetime', async () => {
      await using joined = await join(relay, {
        limits: { head: '', policy: tunnelPolicy({ lifetimeMs: 80 }) },
      })
      const { client, upstream, tunnel } = joined
      client.on('drain', () => {})
      const ticks = setInterval(() => client.write('tick'), 5)
      upstream.resume()
      await once(upstream, 'end')
      clearInterval(ticks)
      client.resume()
      client.end()
      upstream.end()
      const end = await tunnel.ended
      assert.deepEqual([end.by, end.reason], ['gateway', 'lifetime'])
    })

    it('resets peers that do not answer its FIN in time', async () => {
      await using joined = await join(relay)
      const { client, upstream, tunnel } = joined
      tunnel.close('admin', 'drain', { frame: undefined, timeoutMs: 50 })
      await readToEnd(client)
      await readToEnd(upstream)
      const end = await tunnel.ended
      assert.deepEqual([end.by, end.reason, end.cause], ['admin', 'drain', undefined])
      assert.ok(end.durationMs >= 49, `${end.durationMs} ms`)
      for (const peer of [client, upstream]) {
        const failed = once(peer, 'error')
        // A reset behind a FIN shows when the peer writes next.
        peer.write('x')
        const [error] = (await failed) as [NodeJS.ErrnoException]
        assert.match(String(error.code), /^(EPIPE|ECONNRESET)$/)
      }
    })

    it('ends when a socket was closed before the relay began', async () => {
      const pair = await socketPair()
      pair.socket.destroy()
      await once(pair.socket, 'close')
      const other = await socketPair()
      const tunnel = openTunnel(
        relay,
        { socket: pair.socket, unread: [], ended: false },
        { socket: other.socket, unread: [], ended: false },
        NO_LIMITS,
      )
      const end = await tunnel.ended
      assert.deepEqual([end.by, end.reason], ['client', 'error'])
      await pair[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
    })

    it('counts bytes while the tunnel is open', async () => {
      await using joined = await join(relay)
      joined.client.write('12345')
      await readBytes(joined.upstream, 5)
      assert.equal(joined.tunnel.bytesUp, 5)
      joined.upstream.write('123')
      await readBytes(joined.client, 3)
      assert.equal(joined.tunnel.bytesDown, 3)
    })

    relayFrameCases(relay)
  })
}
