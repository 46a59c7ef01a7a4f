/**
 * What a proxy has told of a connection by the PROXY protocol. The socket says it from then on: its addresses are those of
 * the client, for whoever asks.
 */

import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { ProxyHeader } from './proxy-protocol.ts'
import { socketBelow } from './tls-below.ts'

const kTold = Symbol('upgate.told')

type Telling = Duplex & { [kTold]?: ProxyHeader }

/** Undefined where nobody told anything. */
export function toldOf(socket: Duplex): ProxyHeader | undefined {
  return (socket as Telling)[kTold]
}

/** Before anybody asks the socket for its addresses. */
export function tell(socket: Duplex, header: ProxyHeader): void {
  ;(socket as Telling)[kTold] = header
  const { client } = header
  if (typeof client === 'string') return
  Object.defineProperties(socket, {
    remoteAddress: { value: client.peerAddress },
    remotePort: { value: client.peerPort },
    localAddress: { value: client.localAddress },
    localPort: { value: client.localPort },
  })
}

/** For TLS over a socket that was told of: it asks the kernel otherwise. */
export function tellSecure(secure: TLSSocket): void {
  const below = socketBelow(secure)
  const told = below && toldOf(below)
  if (told !== undefined) tell(secure, told)
}
