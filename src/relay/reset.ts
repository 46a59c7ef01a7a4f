/** Ends a connection with a reset instead of an orderly close, so that the peer does not take a cut-off stream for a whole one. */

import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/**
 * Sends RST and destroys the socket; bytes that are not sent yet are dropped. For TLS the TCP connection below is
 * reset, without a close_notify. A unix socket has no reset and is closed. No error event comes of it, and it has no
 * effect on a destroyed socket.
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  const transport = socket instanceof TLSSocket ? transportOf(socket) : socket
  if (transport !== undefined && !isSendingFin(socket)) sendReset(transport)
  socket.destroy()
}

/**
 * Node's own TLSSocket refuses `resetAndDestroy`. The TCP socket below it has no public name: `_parent` is set for
 * the sockets of a TLS server and for those of `tls.connect({ socket })`, and undefined for a plain `tls.connect`.
 */
function transportOf(socket: TLSSocket): Socket | undefined {
  const { _parent: parent } = socket as TLSSocket & { readonly _parent?: unknown }
  return parent instanceof Socket ? parent : undefined
}

/**
 * True between `end` and `finish` when all data is with the kernel. A reset is refused there with EINVAL, and Node
 * then forgets the handle without closing it. A close does: what the peer has by then is the whole stream.
 */
function isSendingFin(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
}

function sendReset(transport: Socket): void {
  try {
    transport.resetAndDestroy()
  } catch (error) {
    // Thrown for a unix socket, which the caller closes.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_HANDLE_TYPE') throw error
  }
}
