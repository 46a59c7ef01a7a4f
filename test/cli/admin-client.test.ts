import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

import { fixtures } from '../config/load-text.ts'
import { fakeAdmin } from '../admin/fake-api.ts'
import { FakeTerminal, run } from './fake-terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'upgate-client-'))

after(() => rmSync(folder, { recursive: true }))

const cert = `${fixtures}/tls/cert.pem`
const TLS = { cert, key: `${fixtures}/tls/key.pem` }
const TOKEN = 'a-token-of-some-length'

function upgate(line: string, env: Record<string, string> = {}) {
  const terminal = new FakeTerminal()
  terminal.env = env
  return run(line.split(' '), terminal)
}

async function serverThat(answer: net.Server): Promise<AsyncDisposable & { port: number }> {
  answer.listen(0, '127.0.0.1')
  await once(answer, 'listening')
  return {
    port: (answer.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(answer, 'close')
      answer.close()
      await closed
    },
  }
}

describe('a call of the admin API', () => {
  it('goes over a unix socket', async () => {
    const path = join(folder, 'admin.sock')
    await using _ = await fakeAdmin({ address: { kind: 'unix', path } })
    const { code, out } = await upgate(`tunnels --admin unix:${path}`)
    assert.deepEqual([code, out], [0, 'no tunnel is open\n'])
  })

  it('brings the token', async () => {
    await using admin = await fakeAdmin({ token: TOKEN })
    const at = `tunnels --admin http://127.0.0.1:${admin.port}`
    const none = await upgate(at)
    assert.equal(none.code, 1)
    assert.match(none.err, /--token-file FILE or UPGATE_ADMIN_TOKEN/)
    assert.equal((await upgate(at, { UPGATE_ADMIN_TOKEN: TOKEN })).code, 0)
    const wrong = await upgate(at, { UPGATE_ADMIN_TOKEN: 'another-token-than-that' })
    assert.deepEqual([wrong.code, wrong.err.includes('another-token')], [1, false])
  })

  it('trusts the certificate that the config file names, whatever name it has', async () => {
    await using admin = await fakeAdmin({ tls: TLS, token: TOKEN })
    const config = join(folder, 'upgate.yaml')
    const write = (certificate: string): void =>
      writeFileSync(
        config,
        `admin: { address: "localhost:${admin.port}", token: ${TOKEN}, tls: { cert: "${certificate}", key: "${TLS.key}" } }`,
      )
    write(cert)
    assert.deepEqual(await upgate(`tunnels -c ${config}`), {
      code: 0,
      out: 'no tunnel is open\n',
      err: '',
    })
    write(`${fixtures}/tls/future.pem`)
    const other = await upgate(`tunnels -c ${config}`)
    assert.equal(other.code, 3)
    assert.match(other.err, /not trusted/)
  })

  it('trusts no other certificate without its authority', async () => {
    await using admin = await fakeAdmin({ tls: TLS })
    const { code, err } = await upgate(`tunnels --admin https://127.0.0.1:${admin.port}`)
    assert.equal(code, 3)
    assert.match(err, /certificate is not trusted .*--ca FILE/)
  })

  it('checks the name where the authority is given', async () => {
    await using admin = await fakeAdmin({ tls: TLS })
    const at = (host: string) =>
      upgate(`tunnels --ca ${cert} --admin https://${host}:${admin.port}`)
    assert.equal((await at('127.0.0.1')).code, 0)
    const other = await at('localhost')
    assert.equal(other.code, 3)
    assert.match(other.err, /altnames/)
  })

  it('exits with 3 when nobody listens there', async () => {
    const server = await serverThat(net.createServer())
    await server[Symbol.asyncDispose]()
    const { code, out, err } = await upgate(`tunnels --admin 127.0.0.1:${server.port}`)
    assert.deepEqual([code, out], [3, ''])
    assert.match(err, /nobody listens there\nIs it running, and is that its admin\.address\?/)
    assert.match((await upgate('tunnels --admin unix:/nonexistent.sock')).err, /no such socket/)
  })

  it('exits with 3 when something else listens there', async () => {
    await using plain = await serverThat(
      http.createServer((_request, response) => response.writeHead(404).end('<h1>hello</h1>')),
    )
    const other = await upgate(`tunnels --admin 127.0.0.1:${plain.port}`)
    assert.equal(other.code, 3)
    assert.match(other.err, /is no admin API of upgate \(status 404\)/)
    await using empty = await serverThat(
      http.createServer((_request, response) => response.end('[1, 2')),
    )
    assert.equal((await upgate(`tunnels --admin 127.0.0.1:${empty.port}`)).code, 3)
    await using closing = await serverThat(net.createServer((socket) => socket.destroy()))
    assert.equal((await upgate(`tunnels --admin 127.0.0.1:${closing.port}`)).code, 3)
    const tls = await upgate(`tunnels --admin https://127.0.0.1:${plain.port}`)
    assert.match(tls.err, /does not speak TLS/)
  })

  it('exits with 3 when it speaks TLS and is called without', async () => {
    await using admin = await fakeAdmin({ tls: TLS })
    assert.equal((await upgate(`tunnels --admin http://127.0.0.1:${admin.port}`)).code, 3)
  })

  it('prints nothing that a terminal obeys, whoever answers', async () => {
    const body = JSON.stringify({ detail: 'a\x1b[2Jb', problems: ['c\x1b[2Jd'] })
    await using server = await serverThat(
      http.createServer((_request, response) => response.writeHead(422).end(body)),
    )
    const { code, err } = await upgate(`tunnels --admin 127.0.0.1:${server.port}`)
    assert.deepEqual([code, err], [1, 'upgate: a\\u001b[2Jb\n  c\\u001b[2Jd\n'])
  })
})
