/**
 * Clients of a listener that come through proxies which say so by the PROXY protocol: its header is taken off the start of
 * each connection, before TLS and before HTTP. It is taken from trusted proxies alone; to anybody else it would be a way
 * to be somebody else.
 */

import type { Socket } from 'node:net'
import { Refusal } from '../errors.ts'
import { TIMER_MAX_MS } from '../timers.ts'
import { tell } from './proxy-protocol-ends.ts'
import { readProxyHeader, type BrokenHeader, type ProxyHeader } from './proxy-protocol.ts'

export interface ProxySideOptions {
  /** Whether what it tells is believed. */
  isTrusted(socket: Socket): boolean
  /** The connection is closed; nobody is answered, as what it speaks is not known. */
  onRefused(refusal: Refusal, peerAddress: string): void
}

export interface HeaderRules {
  readonly proxyProtocol: 'off' | 'optional' | 'required'
  readonly headTimeoutMs: number
}

/** How a connection has begun. */
type Beginning = ProxyHeader | BrokenHeader | 'none'

export class ProxySide {
  readonly #options: ProxySideOptions
  readonly #waiting = new Set<Socket>()

  constructor(options: ProxySideOptions) {
    this.#options = options
  }

  /** Calls `onReady` with the socket paused behind the header, or at its start where it may come without one. */
  accept(socket: Socket, rules: HeaderRules, onReady: () => void): void {
    if (socket.destroyed) return
    if (isGone(socket)) {
      socket.destroy()
      return
    }
    const { remoteAddress: peerAddress = '' } = socket
    const isTrusted = this.#options.isTrusted(socket)
    this.#waiting.add(socket)
    readBeginning(socket, rules.headTimeoutMs, (beginning) => {
      this.#waiting.delete(socket)
      if (beginning === 'silent') {
        socket.destroy()
        return
      }
      const cause = refusalCause(beginning, rules, isTrusted)
      if (cause !== undefined) {
        socket.destroy()
        this.#options.onRefused(new Refusal('E_PROXY_HEADER', { cause }), peerAddress)
        return
      }
      if (typeof beginning === 'object' && 'client' in beginning) tell(socket, beginning)
      onReady()
    })
  }

  /** Cuts those who have not begun yet. */
  destroy(): void {
    for (const socket of this.#waiting) socket.destroy()
  }
}

/**
 * A peer that has reset the connection has no address any more, by which it could be trusted. Balancers that check whether a
 * port is open do so, behind their header. Sockets of unix have none at either end.
 */
function isGone({ remoteAddress, localAddress }: Socket): boolean {
  return remoteAddress === undefined && localAddress !== undefined
}

function refusalCause(
  beginning: Beginning,
  { proxyProtocol }: HeaderRules,
  isTrusted: boolean,
): string | undefined {
  if (beginning === 'none') {
    return proxyProtocol === 'required' ? 'no PROXY header' : undefined
  }
  if (!isTrusted) return 'a PROXY header from a peer that is not in trustedProxies'
  return 'broken' in beginning ? `PROXY header: ${beginning.broken}` : undefined
}

/** `silent` when it ends, or the time is over, without a byte. What is not of the header goes back into the socket. */
function readBeginning(
  socket: Socket,
  timeoutMs: number,
  onDone: (beginning: Beginning | 'silent') => void,
): void {
  let bytes: Buffer = Buffer.alloc(0)
  const done = (beginning: Beginning | 'silent'): void => {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.off('error', onGone)
    socket.off('close', onGone)
    onDone(beginning)
  }
  const onData = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const read = readProxyHeader(bytes)
    if (read === 'more') return
    socket.pause()
    const taken = typeof read === 'object' && 'bytes' in read ? read.bytes : 0
    if (taken < bytes.length) socket.unshift(bytes.subarray(taken))
    done(read)
  }
  const onEnd = (): void => done(bytes.length === 0 ? 'silent' : { broken: 'it ends early' })
  const onGone = (): void => done('silent')
  const onLate = (): void =>
    done(bytes.length === 0 ? 'silent' : { broken: `not whole after ${timeoutMs} ms` })
  const timer = setTimeout(onLate, Math.min(timeoutMs, TIMER_MAX_MS))
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('error', onGone)
  socket.on('close', onGone)
  socket.resume()
}
