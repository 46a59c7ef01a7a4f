/** The `ws` package over a stream of HTTP/2 (RFC 8441), on either end: it knows the upgrade of HTTP/1.1 alone. */

import type { Duplex } from 'node:stream'
import * as ws from 'ws'
import { WebSocket } from 'ws'

/** What `ws` exports and its types do not have. */
const { extension, PerMessageDeflate } = ws as unknown as {
  readonly extension: {
    parse(field: string): Readonly<Record<string, unknown>>
    format(extensions: Readonly<Record<string, unknown>>): string
  }
  readonly PerMessageDeflate: new (options: { readonly isServer: boolean }) => Deflate
}

interface Deflate {
  readonly params: unknown
  accept(offers: unknown): void
  offer(): unknown
}

const DEFLATE = 'permessage-deflate'
/** How long the other end may take to answer a Close frame. */
const CLOSE_MS = 10_000

export interface WebSocketEnd {
  readonly isServer: boolean
  /** The chosen one. */
  readonly protocol?: string | undefined
  readonly deflate?: Deflate | undefined
}

/** Speaks from now on: the handshake is done. */
export function webSocketOver(
  stream: Duplex,
  { isServer, protocol = '', deflate }: WebSocketEnd,
): WebSocket {
  const socket = new (WebSocket as unknown as new (
    address: null,
    protocols: undefined,
    options: object,
  ) => WebSocket & {
    _isServer: boolean
    _protocol: string
    _extensions: object
    setSocket(socket: Duplex, head: Buffer, options: object): void
  })(null, undefined, { autoPong: true, closeTimeout: CLOSE_MS })
  socket._isServer = isServer
  socket._protocol = protocol
  if (deflate !== undefined) socket._extensions = { [DEFLATE]: deflate }
  socket.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true,
    maxPayload: 1 << 26,
    skipUTF8Validation: false,
  })
  return socket
}

/** What a client asks for in Sec-WebSocket-Extensions, and what it makes of the answer. */
export function deflateOffer(): {
  readonly field: string
  accepted(field: string | undefined): Deflate | undefined
} {
  const deflate = new PerMessageDeflate({ isServer: false })
  return {
    field: extension.format({ [DEFLATE]: deflate.offer() }),
    accepted(field) {
      if (field === undefined) return undefined
      deflate.accept(extension.parse(field)[DEFLATE])
      return deflate
    },
  }
}

/** What a server answers to an offer, if there is one. */
export function deflateAnswer(
  offer: string | undefined,
): { readonly field: string; readonly deflate: Deflate } | undefined {
  const offers = offer === undefined ? undefined : extension.parse(offer)[DEFLATE]
  if (offers === undefined) return undefined
  const deflate = new PerMessageDeflate({ isServer: true })
  deflate.accept(offers)
  return { field: extension.format({ [DEFLATE]: [deflate.params] }), deflate }
}
