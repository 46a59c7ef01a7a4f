/** Both ends of HTTP/2 over a connection that was upgraded to it: node's, from the preface on. */

import { once } from 'node:events'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import type { RawClient } from './raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from './scripted-upstream.ts'

export const H2C_SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'

export interface H2cUpstream extends AsyncDisposable {
  /** As an endpoint of the config. */
  readonly url: string
  /** Heads of HTTP/1.1 requests as they came, line by line. */
  readonly heads: readonly (readonly string[])[]
  /** Methods and paths of the requests inside of HTTP/2. */
  readonly inner: readonly string[]
}

/**
 * An upstream that takes every hint at HTTP/2, however it is spelled and wherever it stands in the head, for an upgrade to
 * it; it answers all else with 200 `plain`. Inside of HTTP/2 it answers with method, path and the body that came.
 */
export async function h2cUpstream(): Promise<H2cUpstream> {
  const heads: string[][] = []
  const inner: string[] = []
  const sessions = new Set<http2.ServerHttp2Session>()
  const upstream: ScriptedUpstream = await scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { statusLine, lines } = await connection.head()
      heads.push([statusLine, ...lines])
      if (/h2|http\/?2/i.test(lines.join('\n'))) {
        connection.write(H2C_SWITCHING)
        const session = http2.performServerHandshake(connection.release())
        sessions.add(session)
        session.on('error', () => {})
        session.on('stream', (stream, headers) => {
          inner.push(`${headers[':method']} ${headers[':path']}`)
          stream.on('error', () => {})
          stream.respond({ ':status': 200, 'x-path': headers[':path'] })
          stream.pipe(stream)
        })
        return
      }
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
    }
  })
  return {
    url: upstream.url,
    heads,
    inner,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

export interface H2cSession extends AsyncDisposable {
  /** The answer to a request with this body. */
  ask(path: string, body?: Buffer): Promise<{ readonly status: number; readonly body: Buffer }>
}

/** HTTP/2 from its preface on, over a connection whose 101 was read. */
export function h2cSession(client: RawClient): H2cSession {
  const socket: Socket = client.release()
  const session = http2.connect('http://inside.test', { createConnection: () => socket })
  session.on('error', () => {})
  return {
    async ask(path, body = Buffer.alloc(0)) {
      const stream = session.request({ ':method': 'POST', ':path': path })
      stream.end(body)
      const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
      const chunks: Buffer[] = []
      for await (const chunk of stream) chunks.push(chunk as Buffer)
      return { status: Number(headers[':status']), body: Buffer.concat(chunks) }
    },
    async [Symbol.asyncDispose]() {
      session.destroy()
      if (!socket.closed) await once(socket, 'close')
    },
  }
}
