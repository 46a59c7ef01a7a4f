import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Address } from '../../src/config/config.ts'
import type { Door } from '../../src/listen/door.ts'
import { bind } from '../../src/listen/bind.ts'
import { ConnectionPlaces, type KeyOf } from '../../src/listen/connection-places.ts'
import { openNodeDoor } from '../../src/listen/node-door.ts'
import type { Refused } from '../../src/share.ts'
import { rawClient } from '../support/raw-client.ts'
import { CONFIG } from './test-listener.ts'

const LOOPBACK: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 }

/** A door whose clients get one byte. */
async function greeting(
  connectionsMax: number,
  address = LOOPBACK,
  keyOf: KeyOf = () => undefined,
) {
  const sockets: Socket[] = []
  const { server } = await bind({ ...CONFIG, address }, 1024)
  const places = new ConnectionPlaces(connectionsMax, keyOf)
  const door = openNodeDoor(server, places, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.resume().on('end', () => socket.end())
    socket.write('!')
  })
  return {
    door,
    places,
    sockets,
    [Symbol.asyncDispose]: async () => {
      door.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function refusedBy({ places }: { places: ConnectionPlaces }): Refused {
  const { full, share, address } = places.refused
  return { full, share, address }
}

/** Whether a client is let in; it has left again then. */
async function isTaken({ door, sockets }: { door: Door; sockets: Socket[] }): Promise<boolean> {
  await using client = await rawClient(door.port ?? 0)
  client.socket.end()
  if (!(await client.more())) return false
  const socket = sockets.at(-1) as Socket
  if (!socket.closed) await once(socket, 'close')
  return true
}

describe('a door of node', () => {
  it('hands clients on as sockets that may half-close', async () => {
    await using opened = await greeting(Infinity)
    assert.equal(await isTaken(opened), true)
    const [socket] = opened.sockets
    assert.deepEqual([socket?.allowHalfOpen, socket?.readableHighWaterMark], [true, 1024])
  })

  it('rejects with the error of node when the address is taken', async () => {
    await using opened = await greeting(Infinity)
    const address = { ...LOOPBACK, port: opened.door.port ?? 0 } as Address
    await assert.rejects(greeting(Infinity, address), { code: 'EADDRINUSE', syscall: 'listen' })
  })

  it('takes the file of its unix socket away at once when it closes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-door-'))
    const path = join(folder, 'a.sock')
    {
      await using opened = await greeting(Infinity, { kind: 'unix', path })
      assert.equal(opened.door.port, undefined)
      assert.equal(existsSync(path), true)
      opened.door.close()
      assert.equal(existsSync(path), false)
    }
    await rm(folder, { recursive: true })
  })

  it('takes no more clients than it may, and as many as an adjusted limit says', async () => {
    await using opened = await greeting(1)
    await using _first = await rawClient(opened.door.port ?? 0)
    assert.equal(await isTaken(opened), false)
    opened.places.adjust(2)
    await using _second = await rawClient(opened.door.port ?? 0)
    assert.equal(await isTaken(opened), false)
    opened.places.adjust(Infinity)
    assert.equal(await isTaken(opened), true)
    opened.places.adjust(0)
    assert.equal(await isTaken(opened), false)
    assert.deepEqual(refusedBy(opened), { full: 3, share: 0, address: '127.0.0.1' })
  })

  it('counts connections that went on without their socket, those from before a limit included', async () => {
    await using opened = await greeting(Infinity)
    await using client = await rawClient(opened.door.port ?? 0)
    assert.equal(await client.more(), true)
    const [socket] = opened.sockets as [Socket]
    const giveBack = opened.door.lend?.(socket)
    await once(socket.destroy(), 'close')
    opened.places.adjust(1)
    assert.equal(await isTaken(opened), false)
    giveBack?.()
    assert.equal(await isTaken(opened), true)
  })

  it('takes no more of one address than its share, and counts it until its connections are closed', async () => {
    await using opened = await greeting(40, LOOPBACK, ({ remoteAddress }) => remoteAddress)
    const port = opened.door.port ?? 0
    const clients = await Promise.all(Array.from({ length: 5 }, () => rawClient(port)))
    for (const client of clients) assert.equal(await client.more(), true)
    assert.equal(await isTaken(opened), false)
    assert.deepEqual(refusedBy(opened), { full: 0, share: 1, address: '127.0.0.1' })
    await using other = await rawClient(port, '127.0.0.2')
    assert.equal(await other.more(), true)
    const giveBack = opened.door.lend?.(opened.sockets[0] as Socket)
    for (const socket of opened.sockets.slice(0, 1)) await once(socket.destroy(), 'close')
    assert.equal(await isTaken(opened), false)
    giveBack?.()
    assert.equal(await isTaken(opened), true)
    for (const client of clients) client.socket.destroy()
  })
})
