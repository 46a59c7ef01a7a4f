import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { relayPortably } from '../../src/relay/portable.ts'
import type { Side, Tunnel, TunnelStart } from '../../src/relay/relay.ts'
import { Sweep } from '../../src/relay/sweep.ts'
import { settled } from '../support/settled.ts'
import { readBytes, readToEnd, socketPair, type SocketPair } from '../support/socket-pair.ts'

const NO_LIMITS: TunnelStart = { head: '', idleMs: Infinity, lifetimeMs: Infinity }

interface Joined extends AsyncDisposable {
  readonly client: SocketPair['peer']
  readonly upstream: SocketPair['peer']
  readonly tunnel: Tunnel
}

async function join(
  limits: TunnelStart = NO_LIMITS,
  clientSide: Partial<Side> = {},
  upstreamSide: Partial<Side> = {},
): Promise<Joined> {
  const [a, b] = [await socketPair(), await socketPair()]
  const tunnel = relayPortably(
    { socket: a.socket, unread: [], ended: false, ...clientSide },
    { socket: b.socket, unread: [], ended: false, ...upstreamSide },
    limits,
    new Sweep(),
  )
  return {
    client: a.peer,
    upstream: b.peer,
    tunnel,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await tunnel.ended
    },
  }
}

describe('relayPortably', () => {
  it('sends unread bytes of either side first', async () => {
    await using joined = await join(
      NO_LIMITS,
      { unread: [Buffer.from('cli'), Buffer.from('ent,')] },
      { unread: [Buffer.from('upstream,')] },
    )
    const { client, upstream } = joined
    client.write('more up')
    upstream.write('more down')
    assert.equal(String(await readBytes(upstream, 14)), 'client,more up')
    assert.equal(String(await readBytes(client, 18)), 'upstream,more down')
    assert.equal(joined.tunnel.bytesUp, 14)
    assert.equal(joined.tunnel.bytesDown, 18)
  })

  it('passes a FIN on and keeps the other direction open', async () => {
    await using joined = await join()
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
    await using joined = await join(NO_LIMITS, { unread: [Buffer.from('all')], ended: true })
    assert.equal(String(await readToEnd(joined.upstream)), 'all')
    joined.upstream.end('answer')
    assert.equal(String(await readToEnd(joined.client)), 'answer')
    joined.client.end()
    const end = await joined.tunnel.ended
    assert.deepEqual([end.by, end.reason, end.bytesUp, end.bytesDown], ['client', 'eof', 3, 6])
  })

  for (const [who, other] of [
    ['client', 'upstream'],
    ['upstream', 'client'],
  ] as const) {
    it(`passes a reset of the ${who} on as a reset`, async () => {
      await using joined = await join()
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
    await using joined = await join()
    joined.client.end()
    await readToEnd(joined.upstream)
    joined.client.on('error', () => {})
    joined.client.resume()
    joined.upstream.resetAndDestroy()
    const end = await joined.tunnel.ended
    assert.deepEqual([end.by, end.reason], ['upstream', 'reset'])
  })

  it('stalls the writer when the reader stalls, and loses nothing', async () => {
    await using joined = await join()
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
    await settled(() => tunnel.bytesUp)
    assert.ok(client.writableNeedDrain)
    assert.ok(tunnel.bytesUp < total / 2, `${tunnel.bytesUp} bytes were read ahead`)
    const received = await readToEnd(upstream)
    assert.equal(received.length, total)
    upstream.end()
    assert.equal((await tunnel.ended).bytesUp, total)
  })

  it('ends an idle tunnel with a FIN to both peers', async () => {
    await using joined = await join({ head: '', idleMs: 80, lifetimeMs: Infinity })
    const { client, upstream, tunnel } = joined
    client.write('x')
    await readBytes(upstream, 1)
    assert.equal((await readToEnd(client)).length, 0)
    assert.equal((await readToEnd(upstream)).length, 0)
    client.end()
    upstream.end()
    const end = await tunnel.ended
    assert.deepEqual([end.by, end.reason, end.bytesUp], ['gateway', 'idle', 1])
    assert.ok(end.durationMs >= 80)
  })

  it('ends a busy tunnel at its lifetime', async () => {
    await using joined = await join({ head: '', idleMs: Infinity, lifetimeMs: 80 })
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

  it('resets peers that do not answer its FIN in time', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    await using joined = await join()
    const { client, upstream, tunnel } = joined
    tunnel.close('admin', 'drain', 2000)
    await readToEnd(client)
    await readToEnd(upstream)
    const failed = Promise.all([once(client, 'error'), once(upstream, 'error')])
    client.resume()
    upstream.resume()
    t.mock.timers.tick(2000)
    // A reset shows when the peer writes or reads next.
    client.write('x')
    upstream.write('x')
    await failed
    const end = await tunnel.ended
    assert.deepEqual([end.by, end.reason], ['admin', 'drain'])
  })

  it('ends when a socket was closed before the relay began', async () => {
    const pair = await socketPair()
    pair.socket.destroy()
    await once(pair.socket, 'close')
    const other = await socketPair()
    const tunnel = relayPortably(
      { socket: pair.socket, unread: [], ended: false },
      { socket: other.socket, unread: [], ended: false },
      NO_LIMITS,
      new Sweep(),
    )
    const end = await tunnel.ended
    assert.deepEqual([end.by, end.reason], ['client', 'error'])
    await pair[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
  })

  it('counts bytes while the tunnel is open', async () => {
    await using joined = await join()
    joined.client.write('12345')
    await readBytes(joined.upstream, 5)
    assert.equal(joined.tunnel.bytesUp, 5)
    joined.upstream.write('123')
    await readBytes(joined.client, 3)
    assert.equal(joined.tunnel.bytesDown, 3)
  })
})
