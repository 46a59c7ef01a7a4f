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
import { openNodeDoor } from '../../src/listen/node-door.ts'
import { rawClient } from '../support/raw-client.ts'
import { CONFIG } from './test-listener.ts'

const LOOPBACK: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 }

/** A door whose clients get one byte. */
async function greeting(connectionsMax: number, address = LOOPBACK) {
  const sockets: Socket[] = []
  const { server } = await bind({ ...CONFIG, address }, 1024)
  const door = openNodeDoor(server, connectionsMax, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.resume().on('end', () => socket.end())
    socket.write('!')
  })
  return {
    door,
    sockets,
    [Symbol.asyncDispose]: async () => {
      door.close()
      for (const socket of sockets) socket.destroy()
    },
  }
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

function limits(connectionsMax: number) {
  return { connectionsMax, headTimeoutMs: 1000, headBytesMax: 1000 }
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
    opened.door.adjust(limits(2))
    await using _second = await rawClient(opened.door.port ?? 0)
    assert.equal(await isTaken(opened), false)
    opened.door.adjust(limits(Infinity))
    assert.equal(await isTaken(opened), true)
    opened.door.adjust(limits(0))
    assert.equal(await isTaken(opened), false)
  })

  it('counts connections that went on without their socket, those from before a limit included', async () => {
    await using opened = await greeting(Infinity)
    assert.equal(await isTaken(opened), true)
    const giveBack = opened.door.lend?.(opened.sockets[0] as Socket)
    opened.door.adjust(limits(1))
    assert.equal(await isTaken(opened), false)
    giveBack?.()
    assert.equal(await isTaken(opened), true)
  })
})
