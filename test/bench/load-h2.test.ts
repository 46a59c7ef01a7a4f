import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Session, type ServerHttp2Stream, type Settings } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { before, describe, it } from 'node:test'
import { buildPlainLoad } from '../../bench/load-program.ts'
import { LoadProcess, numberOf } from '../../bench/load-process.ts'
import { findProgram } from '../support/programs.ts'

const compiler = findProgram('cc', 'gcc libc6-dev')
const skip = process.platform === 'linux' ? compiler.skip : 'the load generator needs Linux'

/** A server of HTTP/2 without TLS that answers extended CONNECTs. */
class StreamServer implements AsyncDisposable {
  readonly sessions = new Set<ServerHttp2Session>()
  readonly #server: http2.Http2Server

  private constructor(server: http2.Http2Server) {
    this.#server = server
    server.on('session', (session) => this.sessions.add(session))
  }

  static async start(
    onStream: (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
    settings: Settings = {},
  ): Promise<StreamServer> {
    const server = http2.createServer({ settings: { enableConnectProtocol: true, ...settings } })
    server.on('stream', (stream, headers) => {
      // The load resets nothing: it ends, and its connections with it.
      stream.on('error', () => {})
      onStream(stream, headers)
    })
    const started = new StreamServer(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return started
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

function load(mode: string, settings: Readonly<Record<string, number>>) {
  const process = new LoadProcess('plain', mode, settings)
  return Object.assign(process, { [Symbol.asyncDispose]: () => process.end() })
}

/** What a client sends is masked and the answer is not, so that its payload is longer by the mask. */
function unmasked(message: Buffer): Buffer {
  const copy = Buffer.from(message)
  copy[1] = ((copy[1] ?? 0) & 0x7f) + 4
  return copy
}

function echo(stream: ServerHttp2Stream): void {
  stream.respond()
  stream.on('data', (message: Buffer) => stream.write(unmasked(message)))
}

describe('the load over HTTP/2', { skip }, () => {
  before(buildPlainLoad)

  it('asks for WebSockets, on as many connections as the streams of each make it', async () => {
    const asked: http2.IncomingHttpHeaders[] = []
    await using server = await StreamServer.start((stream, headers) => {
      asked.push(headers)
      stream.respond()
    })
    await using idle = load('idle-h2', { port: server.port, tunnels: 12, streams: 5 })
    await idle.next()
    assert.equal(server.sessions.size, 3)
    assert.equal(new Set(asked.map((headers) => headers[':path'])).size, 12)
    for (const headers of asked) {
      assert.equal(headers[':method'], 'CONNECT')
      assert.equal(headers[':protocol'], 'websocket')
    }
    idle.say('go')
    assert.deepEqual(await idle.next(), { tunnels: 12, lost: 0 })
  })

  it('has a message echoed on each stream, and then the next', async () => {
    const streams = new Map<ServerHttp2Stream, number>()
    await using server = await StreamServer.start((stream) => {
      echo(stream)
      stream.on('data', () => streams.set(stream, (streams.get(stream) ?? 0) + 1))
    })
    const settings = { port: server.port, tunnels: 6, streams: 3, count: 60, size: 64 }
    await using client = load('echo-h2', settings)
    await client.next()
    client.say('go')
    const result = await client.next()
    assert.equal(numberOf(result, 'messages'), 60)
    assert.equal(numberOf(result, 'bytes'), 60 * 64)
    assert.equal(streams.size, 6)
    assert.equal(
      [...streams.values()].reduce((sum, messages) => sum + messages),
      60,
    )
  })

  it('keeps to the windows of streams and connections', async () => {
    let bytes = 0
    await using server = await StreamServer.start(
      (stream) => {
        stream.respond()
        const parts: Buffer[] = []
        // nghttp2 ends the connection of whoever sends more than a window holds.
        stream.on('data', (part: Buffer) => {
          bytes += part.length
          parts.push(part)
          const message = Buffer.concat(parts)
          if (message.length < 1000) return
          parts.length = 0
          const answer = Buffer.from(message)
          answer.writeUInt8(126, 1)
          answer.writeUInt16BE(answer.readUInt16BE(2) + 4, 2)
          stream.write(answer)
        })
      },
      { initialWindowSize: 300 },
    )
    const settings = { port: server.port, tunnels: 4, streams: 4, count: 200, size: 1000 }
    await using client = load('echo-h2', settings)
    await client.next()
    client.say('go')
    assert.equal(numberOf(await client.next(), 'messages'), 200)
    assert.equal(bytes, 200_000)
  })

  it('does not take other bytes for an echo', async () => {
    await using server = await StreamServer.start((stream) => {
      stream.respond()
      stream.on('data', (message: Buffer) => {
        const wrong = unmasked(message)
        wrong[40] = 0
        stream.write(wrong)
      })
    })
    await using client = load('echo-h2', { port: server.port, count: 1 })
    await client.next()
    client.say('go')
    await assert.rejects(client.next(), /^Error: tunnel 0: wrong bytes after 0$/)
  })

  it('says which tunnel was reset', async () => {
    await using server = await StreamServer.start((stream) => {
      // The other one is never answered, so that the load still waits.
      if (stream.id !== 1) return
      stream.respond()
      stream.destroy(new Error('a reset'))
    })
    await using idle = load('idle-h2', { port: server.port, tunnels: 2, streams: 2 })
    await assert.rejects(idle.next(), /^Error: tunnel 0: RST_STREAM 2$/)
  })

  it('says so where a connection was lost while it said nothing', async () => {
    await using server = await StreamServer.start((stream) => stream.respond())
    await using idle = load('idle-h2', { port: server.port, tunnels: 4, streams: 2 })
    await idle.next()
    const [session] = server.sessions
    assert.ok(session)
    session.destroy()
    await once(session, 'close')
    idle.say('go')
    await assert.rejects(idle.next(), /^Error: (?:tunnel|connection) \d/)
  })

  it('opens nothing where WebSockets are not offered', async () => {
    await using server = await StreamServer.start(echo, { enableConnectProtocol: false })
    await using idle = load('idle-h2', { port: server.port })
    await assert.rejects(idle.next(), /^Error: WebSockets over HTTP\/2 are not offered$/)
  })

  it('counts no tunnel that was answered otherwise than with 200', async () => {
    await using server = await StreamServer.start((stream) => stream.respond({ ':status': 404 }))
    await using idle = load('idle-h2', { port: server.port })
    await assert.rejects(idle.next(), /^Error: tunnel 0: not answered 200$/)
  })
})
