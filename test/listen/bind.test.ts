import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, linkSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bind, type BindConfig, type Bound } from '../../src/listen/bind.ts'
import { CONFIG } from './test-listener.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-bind-'))
})
after(() => rm(folder, { recursive: true }))

async function bound(config: Partial<BindConfig>): Promise<Bound & AsyncDisposable> {
  const made = await bind({ ...CONFIG, ...config }, 1024)
  made.server.on('connection', (socket) => socket.destroy())
  return {
    ...made,
    async [Symbol.asyncDispose]() {
      made.server.close()
      await once(made.server, 'close')
    },
  }
}

function tcp(host: string, port = 0) {
  return { kind: 'tcp', host, port } as const
}

function unix(name: string) {
  return { kind: 'unix', path: join(folder, name) } as const
}

/** Of the kernel's table: the most that may wait at a listening port. */
function backlogAt(port: number): string | undefined {
  const { stdout } = spawnSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' })
  return stdout.trim().split(/ +/)[2]
}

describe('a bound address', () => {
  it('has the port that the system picked', async () => {
    await using one = await bound({ address: tcp('127.0.0.1') })
    assert.ok(one.address.kind === 'tcp' && one.address.port > 0)
  })

  it('has the backlog of the config', { skip: spawnSync('ss').error !== undefined }, async () => {
    await using one = await bound({ address: tcp('127.0.0.1'), backlog: 77 })
    assert.ok(one.address.kind === 'tcp')
    assert.equal(backlogAt(one.address.port), '77')
  })

  it('is shared by those who all say reusePort, and by no others', async () => {
    await using one = await bound({ address: tcp('127.0.0.1'), reusePort: true })
    assert.ok(one.address.kind === 'tcp')
    const address = tcp('127.0.0.1', one.address.port)
    await using _ = await bound({ address, reusePort: true })
    await assert.rejects(bound({ address }), { code: 'EADDRINUSE' })
  })

  it('leaves IPv4 to others with ipv6Only', async () => {
    await using six = await bound({ address: tcp('::'), ipv6Only: true })
    assert.ok(six.address.kind === 'tcp')
    const { port } = six.address
    await using _ = await bound({ address: tcp('0.0.0.0', port) })
    await assert.rejects(bound({ address: tcp('::', port) }), { code: 'EADDRINUSE' })
  })
})

describe('a bound unix socket', () => {
  for (const mode of [0o660, 0o600, 0o666]) {
    it(`has the mode 0${mode.toString(8)}`, async () => {
      const address = unix('mode.sock')
      const umask = process.umask()
      await using _ = await bound({ address, mode })
      assert.equal(statSync(address.path).mode & 0o777, mode)
      assert.equal(process.umask(), umask)
    })
  }

  it('is given to its owner, by names or numbers', { skip: process.getuid?.() !== 0 }, async () => {
    for (const [owner, uid, gid] of [
      ['daemon:daemon', 1, 1],
      ['1', 1, 0],
      [':1', 0, 1],
    ] as const) {
      const address = unix('owner.sock')
      await using _ = await bound({ address, owner, mode: 0o660 })
      const { uid: user, gid: group, mode } = statSync(address.path)
      assert.deepEqual([user, group, mode & 0o777], [uid, gid, 0o660])
    }
  })

  it('is gone again when it cannot be given to its owner', async () => {
    const address = unix('nobody.sock')
    await assert.rejects(bound({ address, owner: 'no-such-user' }), {
      message: /unix:.*nobody\.sock.*\/etc\/passwd has no user no-such-user/,
    })
    assert.equal(existsSync(address.path), false)
    await assert.rejects(bound({ address, owner: ':no-such-group' }), { message: /\/etc\/group/ })
  })

  it('takes the place of one that nobody listens at any more', async () => {
    const address = unix('stale.sock')
    // What a process leaves that was killed: its file.
    const other = net.createServer().listen(`${address.path}.1`)
    await once(other, 'listening')
    linkSync(`${address.path}.1`, address.path)
    other.close()
    await once(other, 'close')
    assert.ok(existsSync(address.path))
    await using _ = await bound({ address })
    const client = net.connect({ path: address.path })
    await once(client, 'connect')
    client.destroy()
  })

  it('leaves one alone that somebody listens at', async () => {
    const address = unix('alive.sock')
    await using _ = await bound({ address })
    await assert.rejects(bound({ address }), { code: 'EADDRINUSE' })
    assert.ok(existsSync(address.path))
  })

  it('leaves a file alone that is no socket', async () => {
    const address = unix('file')
    writeFileSync(address.path, 'mine')
    chmodSync(address.path, 0o600)
    await assert.rejects(bound({ address }), { code: 'EADDRINUSE' })
    assert.ok(existsSync(address.path))
    unlinkSync(address.path)
  })
})
