import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, linkSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bindPath, givePath, type PathOptions } from '../../src/listen/unix-path.ts'

const AS_IT_IS: PathOptions = { mode: undefined, owner: undefined }

const asRoot = process.getuid?.() === 0 ? {} : { skip: 'only root gives files away' }

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-unix-path-'))
})
after(() => rm(folder, { recursive: true }))

function inFolder(name: string): string {
  return join(folder, name)
}

async function bound(path: string, options: Partial<PathOptions> = {}): Promise<AsyncDisposable> {
  const server = net.createServer((socket) => socket.destroy())
  await bindPath(server, path, { ...AS_IT_IS, ...options })
  return {
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

describe('bindPath', () => {
  for (const mode of [0o660, 0o600, 0o666]) {
    it(`has the mode 0${mode.toString(8)}`, async () => {
      const path = inFolder('mode.sock')
      const umask = process.umask()
      await using _ = await bound(path, { mode })
      assert.equal(statSync(path).mode & 0o777, mode)
      assert.equal(process.umask(), umask)
    })
  }

  it('is given to its owner, by names or numbers', asRoot, async () => {
    for (const [owner, uid, gid] of [
      ['daemon:daemon', 1, 1],
      ['1', 1, 0],
      [':1', 0, 1],
    ] as const) {
      const path = inFolder('owner.sock')
      await using _ = await bound(path, { owner, mode: 0o660 })
      const { uid: user, gid: group, mode } = statSync(path)
      assert.deepEqual([user, group, mode & 0o777], [uid, gid, 0o660])
    }
  })

  it('is gone again when it cannot be given to its owner', async () => {
    const path = inFolder('nobody.sock')
    await assert.rejects(bound(path, { owner: 'no-such-user' }), {
      message: /unix:.*nobody\.sock.*\/etc\/passwd has no user no-such-user/,
    })
    assert.equal(existsSync(path), false)
    await assert.rejects(bound(path, { owner: ':no-such-group' }), { message: /\/etc\/group/ })
  })

  it('takes the place of one that nobody listens at any more', async () => {
    const path = inFolder('stale.sock')
    // What a process leaves that was killed: its file.
    const other = net.createServer().listen(`${path}.1`)
    await once(other, 'listening')
    linkSync(`${path}.1`, path)
    other.close()
    await once(other, 'close')
    assert.ok(existsSync(path))
    await using _ = await bound(path)
    const client = net.connect({ path: path })
    await once(client, 'connect')
    client.destroy()
  })

  it('leaves one alone that somebody listens at', async () => {
    const path = inFolder('alive.sock')
    await using _ = await bound(path)
    await assert.rejects(bound(path), { code: 'EADDRINUSE' })
    assert.ok(existsSync(path))
  })

  it('leaves a file alone that is no socket', async () => {
    const path = inFolder('file')
    writeFileSync(path, 'mine')
    chmodSync(path, 0o600)
    await assert.rejects(bound(path), { code: 'EADDRINUSE' })
    assert.ok(existsSync(path))
    unlinkSync(path)
  })
})

describe('givePath', () => {
  it('changes mode and owner of one that is bound', asRoot, async () => {
    const path = inFolder('given.sock')
    await using _ = await bound(path, { mode: 0o600 })
    givePath(path, { mode: 0o660, owner: ':daemon' })
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual([uid, gid, mode & 0o777], [0, 1, 0o660])
    givePath(path, AS_IT_IS)
    assert.equal(statSync(path).mode & 0o777, 0o660)
  })
})
