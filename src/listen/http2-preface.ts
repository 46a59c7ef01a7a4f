/** Tells clients of HTTP/2 with prior knowledge (RFC 9113 3.3) from those of HTTP/1.1 by the first bytes that they send. */

import type { Socket } from 'node:net'
import { TIMER_MAX_MS } from '../timers.ts'

/** No request of HTTP/1.1 begins like this (RFC 9113 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** Whether what begins with `text` (latin1) may be HTTP/2. */
export function isPrefaceStart(text: string): boolean {
  const bytes = Buffer.from(text.slice(0, PREFACE.length), 'latin1')
  return bytes.equals(PREFACE.subarray(0, bytes.length))
}

/**
 * Reads as little as tells, and leaves it unread in the socket, which is paused then. A client that does not say enough
 * within `timeoutMs`, or leaves, is closed.
 */
export function readPreface(
  socket: Socket,
  timeoutMs: number,
  onKnown: (isHttp2: boolean) => void,
): void {
  const timer = setTimeout(destroy, Math.min(timeoutMs, TIMER_MAX_MS))
  let received = Buffer.alloc(0)
  function destroy(): void {
    socket.destroy()
  }
  function onData(chunk: Buffer): void {
    received = Buffer.concat([received, chunk])
    const length = Math.min(received.length, PREFACE.length)
    const isAlike = received.subarray(0, length).equals(PREFACE.subarray(0, length))
    if (isAlike && length < PREFACE.length) return
    stop()
    socket.pause()
    socket.unshift(received)
    onKnown(isAlike)
  }
  function stop(): void {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', destroy)
    socket.off('error', destroy)
    socket.off('close', stop)
  }
  socket.on('data', onData)
  socket.on('end', destroy)
  socket.on('error', destroy)
  socket.on('close', stop)
  socket.resume()
}
