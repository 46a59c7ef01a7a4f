/** Two connected TCP sockets on the loopback address, and readers for what comes out of one. */

import { once } from 'node:events'
import net from 'node:net'

export interface SocketPair extends AsyncDisposable {
  /** The end that a test plays the peer with. */
  readonly peer: net.Socket
  /** The end that the code under test gets: paused, half-open allowed. */
  readonly socket: net.Socket
}

export async function socketPair(): Promise<SocketPair> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const peer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
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
