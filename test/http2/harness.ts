/** Connections and streams to endpoints of the tests, with what they tell. */

import { once } from 'node:events'
import net from 'node:net'
import { EndpointConnection } from '../../src/http2/endpoint-connection.ts'
import { EndpointStream } from '../../src/http2/endpoint-stream.ts'
import { frameEndpoint, requestOn } from '../support/frame-endpoint.ts'
import type { FramePeer } from '../support/http2-frames.ts'

/** A connection to an endpoint, destroyed at the end of the block. */
export class TestConnection implements AsyncDisposable {
  readonly connection: EndpointConnection
  readonly #ready = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<string>()
  readonly #onRoom: () => void
  isReady = false

  constructor(socket: net.Socket, streamsMax: number, onRoom: () => void) {
    this.#onRoom = onRoom
    const watcher = {
      onReady: () => {
        this.isReady = true
        this.#ready.resolve()
      },
      onRoom: () => this.#onRoom(),
      onClosed: (cause: string) => this.#closed.resolve(cause),
    }
    this.connection = new EndpointConnection(socket, { scheme: 'http', streamsMax }, watcher)
  }

  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Why it was closed. */
  get closed(): Promise<string> {
    return this.#closed.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.destroy()
    await this.closed
  }
}

/** Connected, before its SETTINGS are there. */
export async function connect(
  port: number,
  streamsMax = 100,
  onRoom = (): void => {},
): Promise<TestConnection> {
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  await once(socket, 'connect')
  return new TestConnection(socket, streamsMax, onRoom)
}

/** A connection that takes streams. */
export async function ready(port: number, streamsMax = 100): Promise<TestConnection> {
  const one = await connect(port, streamsMax)
  await one.ready
  return one
}

/** What comes over a stream, and how it ends. */
export class TestStream {
  readonly stream: EndpointStream
  /** All that came, in latin1. */
  received = ''
  /** The endpoint's END_STREAM has come. */
  hasEnded = false
  /** Fulfilled with its error, if there was one. */
  readonly closed: Promise<NodeJS.ErrnoException | undefined>
  #wake: (() => void) | undefined

  constructor(connection: EndpointConnection, text?: string) {
    const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>()
    let error: NodeJS.ErrnoException | undefined
    this.closed = promise
    this.stream = new EndpointStream(connection, undefined)
    this.stream.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
      this.#wake?.()
    })
    this.stream.on('end', () => {
      this.hasEnded = true
      this.#wake?.()
    })
    this.stream.on('error', (cause) => {
      error = cause
    })
    this.stream.on('close', () => {
      resolve(error)
      this.#wake?.()
    })
    if (text !== undefined) this.write(text)
  }

  write(text: string): void {
    this.stream.write(text, 'latin1')
  }

  /** Waits for a text; fails when the stream is over before. */
  async until(wanted: string): Promise<void> {
    while (!this.received.includes(wanted)) {
      if (this.stream.closed || this.hasEnded) {
        throw new Error(`over before ${JSON.stringify(wanted)}: ${JSON.stringify(this.received)}`)
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** All that came up to END_STREAM; fails when the stream breaks before. */
  async whole(): Promise<string> {
    while (!this.hasEnded) {
      if (this.stream.closed) throw new Error(`broken: ${String(await this.closed)}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.received
  }
}

/** A request by HTTP/1.1, as the gateway writes it. */
export function request(line: string, ...fields: string[]): string {
  return [`${line} HTTP/1.1`, 'Host: endpoint.test', ...fields, '', ''].join('\r\n')
}

export const GET = request('GET /')
export const HEAD = request('HEAD /')
export const WEBSOCKET = request(
  'GET /ws',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
)

/** A stream to an endpoint of frames, whose request is there. */
export interface FramePair extends AsyncDisposable {
  readonly connection: TestConnection
  readonly stream: TestStream
  readonly peer: FramePeer
  readonly id: number
}

/** `text` is the request. */
export async function framePair(text: string): Promise<FramePair> {
  const endpoint = await frameEndpoint()
  const connection = await ready(endpoint.port)
  const peer = await endpoint.next()
  const stream = new TestStream(connection.connection, text)
  const { stream: id } = await requestOn(peer)
  return {
    connection,
    stream,
    peer,
    id,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
    },
  }
}
