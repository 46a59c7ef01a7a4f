/** A client that is nothing but bytes: what a test writes goes out as it is, and what comes back is read by the byte. */

import { once } from 'node:events'
import net from 'node:net'

export interface RawAnswer {
  readonly statusLine: string
  readonly status: number
  /** Field lines as they came. */
  readonly lines: readonly string[]
  /** Values by lower-case name, joined with `, `. */
  readonly fields: ReadonlyMap<string, string>
}

export class RawClient implements AsyncDisposable {
  readonly socket: net.Socket
  #chunks: Buffer[] = []
  #length = 0
  #ended = false
  #error: NodeJS.ErrnoException | undefined
  #wake: (() => void) | undefined

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#wake?.()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake?.()
    })
    socket.on('error', (error) => {
      this.#error = error
      this.#wake?.()
    })
    socket.on('close', () => this.#wake?.())
  }

  write(text: string | Buffer): void {
    if (typeof text === 'string') this.socket.write(text, 'latin1')
    else this.socket.write(text)
  }

  /** Reads one answer head (or request head, when it plays an upstream) and leaves what follows. */
  async head(): Promise<RawAnswer> {
    const text = await this.#take(() => {
      const end = this.#received().indexOf('\r\n\r\n')
      return end === -1 ? undefined : end + 4
    })
    const [statusLine = '', ...lines] = text.toString('latin1').slice(0, -4).split('\r\n')
    const fields = new Map<string, string>()
    for (const line of lines) {
      const name = line.slice(0, line.indexOf(':')).toLowerCase()
      const value = line.slice(line.indexOf(':') + 1).trim()
      fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value)
    }
    return { statusLine, status: Number(statusLine.split(' ')[1]), lines, fields }
  }

  /** Reads exactly so many bytes. */
  async bytes(count: number): Promise<string> {
    const bytes = await this.#take(() => (this.#length >= count ? count : undefined))
    return bytes.toString('latin1')
  }

  /** Reads a whole answer that has a Content-Length. */
  async answer(): Promise<RawAnswer & { readonly body: string }> {
    const head = await this.head()
    return { ...head, body: await this.bytes(Number(head.fields.get('content-length') ?? 0)) }
  }

  /** What comes until the FIN; fails when a reset comes in its place. */
  async rest(): Promise<string> {
    const bytes = await this.#take(() => (this.#ended ? this.#length : undefined))
    return bytes.toString('latin1')
  }

  /** Whether another byte comes, waiting for it; false at the end of the connection. */
  async more(): Promise<boolean> {
    while (this.#length === 0 && !this.#isOver()) await this.#next()
    return this.#length > 0
  }

  /** Lets go of the socket, for another protocol: what was not read is the first that it reads. */
  release(): net.Socket {
    const { socket } = this
    socket.pause()
    for (const event of ['data', 'end', 'error', 'close']) socket.removeAllListeners(event)
    if (this.#length > 0) socket.unshift(this.#received())
    this.#chunks = []
    this.#length = 0
    return socket
  }

  /** Waits until the other end has closed the connection, one way or another. */
  async gone(): Promise<void> {
    while (!this.#isOver()) await this.#next()
  }

  #isOver(): boolean {
    return this.#ended || this.#error !== undefined || this.socket.closed
  }

  /** Waits for a reset and returns its code; fails on a FIN. */
  async failure(): Promise<string | undefined> {
    while (this.#error === undefined) {
      if (this.#ended) throw new Error('a FIN came where a reset was due')
      await this.#next()
    }
    return this.#error.code
  }

  async #take(ready: () => number | undefined): Promise<Buffer> {
    for (;;) {
      const count = ready()
      if (count !== undefined) {
        const received = this.#received()
        this.#chunks = [received.subarray(count)]
        this.#length -= count
        return received.subarray(0, count)
      }
      if (this.#error !== undefined) throw this.#error
      if (this.#ended || this.socket.closed) {
        throw new Error(
          `the connection ended early; unread: ${JSON.stringify(this.#received().toString('latin1'))}`,
        )
      }
      await this.#next()
    }
  }

  #received(): Buffer {
    const received = Buffer.concat(this.#chunks)
    this.#chunks = [received]
    return received
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.closed) return
    this.socket.destroy()
    await once(this.socket, 'close')
  }
}

/** Connects to a port of the loopback address, there from another of its addresses if one is given, or to a unix socket. */
export async function rawClient(to: number | string, from = '127.0.0.1'): Promise<RawClient> {
  const socket =
    typeof to === 'number'
      ? net.connect({ host: '127.0.0.1', port: to, localAddress: from, allowHalfOpen: true })
      : net.connect({ path: to, allowHalfOpen: true })
  await once(socket, 'connect')
  return new RawClient(socket)
}

/** A handshake request as browsers send it, with `lines` added. */
export function handshake(path = '/', lines: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: gateway.test',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`,
    ...lines,
    '\r\n',
  ].join('\r\n')
}

/** The key and accept value of the example in RFC 6455 1.3. */
export const WEBSOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
export const WEBSOCKET_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

/** The right answer to `handshake`. */
export const SWITCHING = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${WEBSOCKET_ACCEPT}`,
  '\r\n',
].join('\r\n')
