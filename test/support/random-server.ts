/** A server that answers with random responses, and a client that takes whatever comes. */

import { once } from 'node:events'
import net from 'node:net'
import { randomResponse } from './random-responses.ts'

const CLIENT_MS = 10_000

/**
 * `seedOf` finds the number of its response in a request's head; `randomResponse` says what that is. Connections are left open for the
 * next request.
 */
export async function randomServer(
  seedOf: RegExp,
): Promise<AsyncDisposable & { readonly url: string }> {
  const open = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => {})
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const seed = Number(seedOf.exec(text)?.[1])
      if (Number.isNaN(seed) || !text.endsWith('\r\n\r\n')) return
      text = ''
      answer(socket, randomResponse(seed), seed)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

/** In one part or in two. */
function answer(socket: net.Socket, response: string, seed: number): void {
  const cut = seed % 3 === 0 ? seed % response.length : response.length
  const end = (): void => {
    socket.write(response.slice(cut), 'latin1')
    if (seed % 2 === 0) socket.end()
  }
  socket.write(response.slice(0, cut), 'latin1')
  if (cut === response.length) end()
  else setImmediate(end)
}

/** All that a client gets until its connection closes, which `request` asks for. */
export function allOf(port: number, request: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = net.connect(port, '127.0.0.1')
  let text = ''
  const timer = setTimeout(() => {
    socket.destroy()
    reject(new Error(`no end within ${CLIENT_MS} ms`))
  }, CLIENT_MS)
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    clearTimeout(timer)
    resolve(text)
  })
  socket.write(request)
  return promise
}

/** The status line of the final response, and the code of a refusal. */
export function verdictOf(text: string): string | undefined {
  const line = /(?:^|\n)(HTTP\/1\.1 (?!1)[^\r]*)\r\n/.exec(text)?.[1]
  return line === undefined ? undefined : `${line} ${/"code":"(\w+)"/.exec(text)?.[1] ?? ''}`
}
