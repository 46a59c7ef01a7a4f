/** Certificates that others put in place of the old ones, each in their own way. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

const { skip } = openssl
const NOT_RELOADED = 'certificate not reloaded, the old one stays in use'

let authority: TestAuthority
let first: Issued
let second: Issued
let folder: string

before(async () => {
  if (skip !== false) return
  authority = await TestAuthority.create()
  const names = ['DNS:a.test']
  first = await authority.issue({ subject: '/CN=first', names, days: 30 })
  second = await authority.issue({ subject: '/CN=second', names, days: 30 })
  folder = await mkdtemp(join(tmpdir(), 'upgate-swap-'))
})

after(async () => {
  await authority?.[Symbol.asyncDispose]()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

/** A folder with a pair of files. */
async function put(name: string, { cert, key }: Issued): Promise<void> {
  const path = join(folder, name)
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'tls.crt'), cert)
  await writeFile(join(path, 'tls.key'), key)
}

function startGateway(name: string): Promise<TestGateway> {
  const files = `cert: "${join(folder, name, 'tls.crt')}", key: "${join(folder, name, 'tls.key')}"`
  return startTestGateway(`listeners: [{ address: "127.0.0.1:0", tls: { ${files} } }]
routes: [{ upstream: "builtin:echo" }]`)
}

/** The subject of the certificate that clients are shown. */
async function shownBy({ port }: TestGateway): Promise<string | undefined> {
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const subject = socket.getPeerX509Certificate()?.subject
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
  return subject
}

/** Puts another link in place of one, as `ln -sfn` and kubelet do it. */
async function relink(target: string, path: string): Promise<void> {
  await symlink(target, `${path}.new`)
  await rename(`${path}.new`, path)
}

describe('the files of a certificate', { skip, concurrency: true }, () => {
  it("are followed when Kubernetes swaps a secret's folder, without a word of error", async () => {
    await put('secret/..1', first)
    await put('secret/..2', second)
    const secret = join(folder, 'secret')
    await symlink('..1', join(secret, '..data'))
    for (const name of ['tls.crt', 'tls.key']) await symlink(`..data/${name}`, join(secret, name))
    await using gateway = await startGateway('secret')
    assert.equal(await shownBy(gateway), 'CN=first')
    await relink('..2', join(secret, '..data'))
    await gateway.log('certificate reloaded')
    assert.equal(await shownBy(gateway), 'CN=second')
    assert.ok(!gateway.logs.some(({ msg }) => msg === NOT_RELOADED))
  })

  it('are followed when certbot points its links elsewhere, one after the other', async () => {
    await put('archive/1', first)
    await put('archive/2', second)
    const live = join(folder, 'live')
    await mkdir(live)
    for (const name of ['tls.crt', 'tls.key']) {
      await symlink(`../archive/1/${name}`, join(live, name))
    }
    await using gateway = await startGateway('live')
    await relink('../archive/2/tls.crt', join(live, 'tls.crt'))
    await gateway.log(NOT_RELOADED)
    assert.equal(await shownBy(gateway), 'CN=first')
    await relink('../archive/2/tls.key', join(live, 'tls.key'))
    await gateway.log('certificate reloaded')
    assert.equal(await shownBy(gateway), 'CN=second')
  })

  it('may be missing for a while', async () => {
    await put('gone', first)
    await using gateway = await startGateway('gone')
    await unlink(join(folder, 'gone/tls.key'))
    const line = await gateway.log(NOT_RELOADED)
    assert.match(String(line['cause']), /ENOENT.*tls\.key/)
    assert.equal(await shownBy(gateway), 'CN=first')
    await put('gone', second)
    await gateway.log('certificate reloaded')
    assert.equal(await shownBy(gateway), 'CN=second')
  })
})
