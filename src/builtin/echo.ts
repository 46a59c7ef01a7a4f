/**
 * The upstream `builtin:echo`: a WebSocket server that sends everything back, and an HTTP server that tells what
 * arrived, for trying out a gateway without an application behind it. It listens on loopback alone.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { RawData, WebSocket } from 'ws'
import type { Address } from '../config/config.ts'
import { echoPage } from './echo-page.ts'
import type { SeenBody, SeenRequest } from './echo-page.ts'

export interface Echo {
  readonly address: Address
  /** Ends all connections at once, and resolves when the port is free. */
  close(): Promise<void>
}

/** Of a request's body, what is shown; the rest is read and counted. */
const bodyShownBytesMax = 64 * 1024

/** The largest message that is echoed; a larger one closes the WebSocket with 1009. */
const messageBytesMax = 64 * 1024 * 1024

/** Echoes that wait for a client which does not read; above it the client's own messages wait too. */
const unsentBytesMax = 1024 * 1024

/** Listens on a free port of 127.0.0.1. */
export async function startEcho(): Promise<Echo> {
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: true,
    maxPayload: messageBytesMax,
    handleProtocols: firstOffered,
  })
  const server = createServer({ shouldUpgradeCallback: asksForWebSocket }, onRequest)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    webSockets.handleUpgrade(request, socket, head, echoMessages)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port },
    close: async () => {
      for (const webSocket of webSockets.clients) webSocket.terminate()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Other tokens are not spoken here: such a request is answered as a plain one (RFC 9110 7.8). */
function asksForWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

function firstOffered(offered: ReadonlySet<string>): string | false {
  const [first = false] = offered
  return first
}

/** Sends every message back as it came. The close code goes back by itself: ws answers a close frame with its code. */
function echoMessages(webSocket: WebSocket): void {
  const onSent = (): void => {
    if (webSocket.isPaused && webSocket.bufferedAmount <= unsentBytesMax) webSocket.resume()
  }
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    webSocket.send(data, { binary: isBinary }, onSent)
    if (webSocket.bufferedAmount > unsentBytesMax) webSocket.pause()
  })
  // A broken frame: ws has closed the connection with the fitting code by then.
  webSocket.on('error', ignoreError)
}

function onRequest(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    if (bytes < bodyShownBytesMax) chunks.push(chunk)
    bytes += chunk.length
  })
  request.on('error', ignoreError)
  request.on('end', () => {
    const shown = Buffer.concat(chunks).subarray(0, bodyShownBytesMax)
    answer(seenRequest(request, seenBody(shown, bytes)), response)
  })
}

function seenRequest(request: IncomingMessage, body: SeenBody): SeenRequest {
  const { method = '', url = '', httpVersion, rawHeaders, socket } = request
  const fields: [string, string][] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    fields.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''])
  }
  return { method, target: url, httpVersion, fields, body, remoteAddress: socket.remoteAddress }
}

function seenBody(shown: Buffer, bytes: number): SeenBody {
  const isTruncated = bytes > shown.length
  try {
    // A cut at the limit may fall into the middle of a character: streaming leaves such a rest out.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(shown, {
      stream: isTruncated,
    })
    return { bytes, isTruncated, text }
  } catch {
    return { bytes, isTruncated, base64: shown.toString('base64') }
  }
}

function answer(seen: SeenRequest, response: ServerResponse): void {
  const accept = seen.fields.find(([name]) => name.toLowerCase() === 'accept')?.[1] ?? ''
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Vary', 'Accept')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (!accept.toLowerCase().includes('text/html')) {
    response.setHeader('Content-Type', 'application/json')
    response.end(`${JSON.stringify(seen, undefined, 2)}\n`)
    return
  }
  const nonce = randomBytes(16).toString('base64')
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.setHeader('Content-Security-Policy', policyWith(nonce))
  response.end(echoPage(seen, nonce))
}

function policyWith(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    // The page's icon is empty: without one, a browser asks for /favicon.ico and that request shows in the logs.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function ignoreError(): void {}
