/** Closes a connection so that the peer can still read the answer that was written to it. */

import type { RelaySocket } from '../relay/relay.ts'

const LINGER_MS = 2000
const LINGER_BYTES_MAX = 1_048_576

/**
 * Sends FIN behind what is written, then reads and drops what the peer still sends, for at most two seconds and one
 * mebibyte: a close with unread input would send a reset, and a reset overtakes the answer (RFC 9112 9.6).
 */
export function lingeringClose(socket: RelaySocket): void {
  if (socket.destroyed) return
  let bytes = 0
  const timer = setTimeout(destroy, LINGER_MS)
  function destroy(): void {
    socket.destroy()
  }
  function onData(chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > LINGER_BYTES_MAX) destroy()
  }
  socket.on('data', onData)
  socket.on('error', destroy)
  socket.on('close', () => clearTimeout(timer))
  socket.end()
  socket.resume()
}
