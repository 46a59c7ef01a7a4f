/** What a listener knows of the connection that a request came over, for whoever decides on the request. */

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ListenerConfig } from '../config/config.ts'
import type { HeldConnection } from '../relay/acceptor.ts'
import type { ClientCertificate } from '../request/client-certificate.ts'
import type { Connection } from '../request/facts.ts'
import { toldOf } from './proxy-protocol-ends.ts'
import { StreamSocket } from './stream-socket.ts'

/** The listener, as its connections tell of it. */
export interface Place {
  /** Undefined for a unix socket. */
  readonly localPort: number | undefined
  readonly redirect: ListenerConfig['redirect']
}

/** What the client of a TLS socket has shown. */
export type CertificateOf = (socket: object) => ClientCertificate | undefined

/** Of a socket, or of a stream of HTTP/2: what is below it. */
export function connectionOf(
  socket: Socket | StreamSocket,
  place: Place,
  certificateOf: CertificateOf,
): Connection {
  const stream = socket instanceof StreamSocket ? socket : undefined
  const below = stream?.transport ?? socket
  return {
    peerAddress: socket.remoteAddress ?? '',
    encrypted: 'encrypted' in below,
    ...portsOf(place),
    ...toldBy(below, certificateOf),
    ...(stream && { http2: { connects: stream.connects } }),
  }
}

/** Of a client that the native relay holds: plain TCP, and nobody has told anything of it. */
export function heldConnectionOf({ peerAddress }: HeldConnection, place: Place): Connection {
  return { peerAddress, encrypted: false, ...portsOf(place) }
}

function portsOf({ localPort, redirect }: Place): Pick<Connection, 'localPort' | 'httpsPort'> {
  return { localPort, ...(redirect && { httpsPort: redirect.port }) }
}

/** By the client in its handshake, and by a proxy before it. */
function toldBy(socket: Duplex, certificateOf: CertificateOf): Partial<Connection> {
  const client = toldOf(socket)?.client
  const certificate = certificateOf(socket)
  const shown = certificate && { certificate }
  if (client === 'unknown') return { ...shown, isAnonymous: true }
  return typeof client === 'object' ? { ...shown, localPort: client.localPort } : { ...shown }
}
