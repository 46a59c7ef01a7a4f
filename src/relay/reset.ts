/** Ends a connection with a reset instead of an orderly close, so that the peer does not take a cut-off stream for a whole one. */

import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { RelaySocket } from './relay.ts'

/**
 * Sends RST and destroys the socket; bytes that are not sent yet are dropped. For TLS the TCP connection below is
 * reset, without a close_notify. A unix socket has no reset and is closed. No error event comes of it, and it has no
 * effect on a destroyed socket.
 */
export function resetSocket(socket: RelaySocket): void {
  if (socket.destroyed) return
  if (isSendingFin(socket)) socket.destroy()
  else if (socket instanceof TLSSocket) resetTls(socket)
  else reset(socket)
}

/**
 * True between `end` and `finish` when all data is with the kernel. A reset is refused there with EINVAL, and Node
 * then forgets the handle without closing it. A close does: what the peer has by then is the whole stream.
 */
function isSendingFin(socket: RelaySocket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
}

/**
 * Node refuses to reset a TLSSocket, and to reset the TCP socket below it and destroy both frees OpenSSL's state while
 * OpenSSL may be on the stack (a crash). So the TLSSocket is destroyed as ever, which destroys the TCP socket below at
 * the right moment, and that is made a reset. The TCP socket has no public name: `_parent` is set for the sockets of
 * a TLS server and for those of `tls.connect({ socket })`, and is null for a `tls.connect` by address.
 */
function resetTls(socket: TLSSocket): void {
  const { _parent: transport } = socket as TLSSocket & { readonly _parent?: unknown }
  if (transport instanceof Socket) {
    transport.destroy = () => {
      Reflect.deleteProperty(transport, 'destroy')
      return reset(transport)
    }
  }
  socket.destroy()
}

function reset<S extends RelaySocket>(transport: S): S {
  try {
    transport.resetAndDestroy()
    return transport.destroy()
  } catch {
    // ERR_INVALID_HANDLE_TYPE: a unix socket.
    return transport.destroy()
  }
}
