/** Closes a connection so that the peer can still read the response that was written to it. */

import type { RelaySocket } from '../relay/relay.ts'

/** How long, and how much, what the peer still sends is read and dropped. */
interface Linger {
  readonly ms: number
  readonly bytesMax: number
}

/** Behind the end of a request: nobody should send much. */
const BEHIND_REQUEST: Linger = { ms: 2000, bytesMax: 1_048_576 }
/** Within a body that nobody wants: many clients read the response only when they have sent it. */
export const WITHIN_BODY: Linger = { ms: 30_000, bytesMax: 512 * 1_048_576 }

/**
 * Sends FIN behind what is written, then reads and drops what the peer still sends, within bounds of time and bytes: a close
 * with unread input would send a reset, and a reset overtakes the response (RFC 9112 9.6).
 */
export function lingeringClose(socket: RelaySocket, linger: Linger = BEHIND_REQUEST): void {
  if (socket.destroyed) return
  let bytes = 0
  const timer = setTimeout(destroy, linger.ms)
  function destroy(): void {
    socket.destroy()
  }
  function onData(chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > linger.bytesMax) destroy()
  }
  socket.on('data', onData)
  socket.on('error', destroy)
  socket.on('close', () => clearTimeout(timer))
  socket.end()
  socket.resume()
}
