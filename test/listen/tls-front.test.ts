import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { checkTls, TlsFront, type TlsFiles } from '../../src/listen/tls-front.ts'
import { rawClient } from '../support/raw-client.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const files = filesIn('tls')
const otherFiles = filesIn('config/tls')

function filesIn(folder: string): TlsFiles {
  return { cert: join(fixtures, folder, 'cert.pem'), key: join(fixtures, folder, 'key.pem') }
}

function ignore(): void {}

/** Greets whoever has come through with one byte. */
function frontOf(from: TlsFiles, handshakeTimeoutMs = 60_000, previous?: TlsFront) {
  const failures: unknown[] = []
  const front = new TlsFront(
    {
      files: from,
      handshakeTimeoutMs,
      onSecure: (socket) => socket.end('!'),
      onFailed: (error, socket) => {
        failures.push(error.code)
        socket.destroy()
      },
    },
    previous,
  )
  return { front, failures }
}

/** A port whose sockets go to a front. */
async function listening(accept: (socket: net.Socket) => void) {
  const server = net.createServer({ allowHalfOpen: true }, accept).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}

async function connect(port: number): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  return socket
}

describe('TlsFront', () => {
  it('hands clients on when their connection is secure', async () => {
    const { front } = frontOf(files)
    await using server = await listening((socket) => front.accept(socket))
    const client = await connect(server.port)
    assert.equal(client.getPeerCertificate().subject.CN, 'localhost')
    const [greeting] = (await once(client, 'data')) as [Buffer]
    assert.equal(greeting.toString(), '!')
    client.destroy()
  })

  it('takes clients of which something was read already', async () => {
    const { front } = frontOf(files)
    await using server = await listening((socket) => {
      socket.once('data', (hello) => {
        socket.pause()
        socket.unshift(hello)
        front.accept(socket)
      })
    })
    const client = await connect(server.port)
    const [greeting] = (await once(client, 'data')) as [Buffer]
    assert.equal(greeting.toString(), '!')
    client.destroy()
  })

  it('tells of a client that speaks no TLS, and of one that is too slow', async () => {
    const { front, failures } = frontOf(files, 50)
    await using server = await listening((socket) => front.accept(socket))
    await using wrong = await rawClient(server.port)
    wrong.write('GET / HTTP/1.1\r\n\r\n')
    await wrong.gone()
    await using slow = await rawClient(server.port)
    await slow.gone()
    assert.deepEqual(failures, ['ERR_SSL_HTTP_REQUEST', 'ERR_TLS_HANDSHAKE_TIMEOUT'])
  })

  it('differs from another one by the content of its files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-tls-'))
    const copy = { cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') }
    await writeFile(copy.cert, await readFile(files.cert))
    await writeFile(copy.key, await readFile(files.key))
    const { front } = frontOf(files)
    assert.equal(frontOf(copy).front.differsFrom(front), false)
    assert.equal(frontOf(otherFiles).front.differsFrom(front), true)
    await rm(folder, { recursive: true })
  })

  it('throws for files that are missing, or do not fit each other', () => {
    const missing = { cert: files.cert, key: '/nowhere/key.pem' }
    const unfit = { cert: files.cert, key: otherFiles.key }
    const options = { handshakeTimeoutMs: 1000, onSecure: ignore, onFailed: ignore }
    for (const [wrong, error] of [
      [missing, { code: 'ENOENT' }],
      [unfit, /key/],
    ] as const) {
      assert.throws(() => checkTls(wrong), error)
      assert.throws(() => new TlsFront({ ...options, files: wrong }), error)
    }
    checkTls(files)
  })
})
