/** Two connected sockets, by TCP on the loopback address or by a unix socket, and readers for what comes out of one. */

import { once } from 'node:events'
import net from 'node:net'

export interface SocketPair extends AsyncDisposable {
  /** The end that a test plays the peer with. */
  readonly peer: net.Socket
  /** The end that the code under test gets: paused, half-open allowed. */
  readonly socket: net.Socket
}

export async function socketPair(kind: 'tcp' | 'unix' = 'tcp'): Promise<SocketPair> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  if (kind === 'tcp') server.listen(0, '127.0.0.1')
  else server.listen(abstractPath())
  await once(server, 'listening')
  const address = server.address() as net.AddressInfo | string
  const to =
    typeof address === 'string' ? { path: address } : { port: address.port, host: '127.0.0.1' }
  const peer = net.connect({ ...to, allowHalfOpen: true })
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(peer, 'connect')])) as [
    [net.Socket],
    unknown,
  ]
  server.close()
  return {
    peer,
    socket,
    async [Symbol.asyncDispose]() {
      for (const end of [peer, socket]) {
        if (end.closed) continue
        end.destroy()
        await once(end, 'close')
      }
    },
  }
}

let abstractPaths = 0

/** Of Linux: in no folder, and gone with its listener. */
function abstractPath(): string {
  abstractPaths += 1
  return `\0upgate-test-${process.pid}-${abstractPaths}`
}

/** Reads until the peer's FIN. */
export async function readToEnd(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket.iterator({ destroyOnReturn: false }))
    chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Reads until `bytes` bytes are there; whatever is beyond them stays in the socket. Rejects at FIN or error. */
export function readBytes(socket: net.Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const onReadable = (): void => {
      const chunk = socket.read(bytes) as Buffer | null
      if (chunk === null) return
      stop()
      resolve(chunk)
    }
    const onEnd = (): void => {
      stop()
      reject(new Error(`FIN before ${bytes} bytes`))
    }
    const onError = (error: Error): void => {
      stop()
      reject(error)
    }
    const stop = (): void => {
      socket.off('readable', onReadable)
      socket.off('end', onEnd)
      socket.off('error', onError)
    }
    socket.on('readable', onReadable)
    socket.on('end', onEnd)
    socket.on('error', onError)
    onReadable()
  })
}
