import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { bind, type BindConfig, type Bound } from '../../src/listen/bind.ts'
import { CONFIG } from './test-listener.ts'

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
  it('has the mode of the config', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-bind-'))
    const address = { kind: 'unix', path: join(folder, 'bound.sock') } as const
    {
      await using one = await bound({ address, mode: 0o640 })
      assert.deepEqual(one.address, address)
      assert.equal(statSync(address.path).mode & 0o777, 0o640)
    }
    await rm(folder, { recursive: true })
  })
})
