/** Says in words why the gateway could not start, and what to do about it. */

import type { Config, ListenerAddress } from '../config/config.ts'
import { formatAddress } from '../config/network.ts'

interface SystemError extends Error {
  readonly code?: string
  readonly syscall?: string
  readonly address?: string
  /** In place of an address, when a name could not be resolved. */
  readonly hostname?: string
  readonly port?: number
}

/** `error` is what starting threw. Only a fault of the program itself is told with its stack. */
export function describeStartFailure(error: unknown, config: Config): string {
  if (!(error instanceof Error)) return String(error)
  const { code, syscall, message, stack } = error as SystemError
  if (code === undefined) return isFault(error) ? (stack ?? message) : message
  if (syscall !== 'listen' && syscall !== 'bind' && syscall !== 'getaddrinfo') return message
  const { text, key } = placeOf(error, config)
  return `cannot listen on ${text}${key === undefined ? '' : ` (${key})`}: ${reason(code, message, isAtPath(error))}`
}

/** A TypeError and its like come from the language, a plain Error from someone who had something to say. */
function isFault(error: Error): boolean {
  return error.constructor !== Error && error.name !== 'ConfigError'
}

/** Node gives paths the port -1. */
function isAtPath({ port = -1, hostname }: SystemError): boolean {
  return port === -1 && hostname === undefined
}

function reason(code: string, message: string, isPath: boolean): string {
  switch (code) {
    case 'EADDRINUSE':
      if (isPath) {
        return 'the path is in use. Stop the program that listens there (ss -lxp shows it), or choose another path; a file that is no socket is not touched.'
      }
      return 'the address is in use. Stop the program that uses it (ss -ltnp shows it), or choose another address.'
    case 'EACCES':
      // What libuv makes of ENOENT, too.
      return isPath
        ? 'the folder of the unix socket does not exist, or this user may not write to it. Make it, or choose another path.'
        : 'this user may not. Choose a port from 1024, or allow it (CAP_NET_BIND_SERVICE).'
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address. Choose one of its own, or 0.0.0.0 for all.'
    case 'ENOTFOUND':
      return 'the host name is not known. Write an IP address.'
    default:
      return message
  }
}

/** The address as the config has it, and the key it stands under. */
function placeOf(
  { hostname = '', address = hostname, port }: SystemError,
  config: Config,
): { text: string; key: string | undefined } {
  const isIt = (candidate: ListenerAddress): boolean =>
    candidate.kind === 'unix'
      ? candidate.path === address
      : candidate.kind === 'tcp' &&
        candidate.port === port &&
        (candidate.host === address || candidate.host === 'localhost')
  const index = config.listeners.findIndex((listener) => isIt(listener.address))
  const listener = config.listeners[index]
  if (listener !== undefined) {
    return { text: formatAddress(listener.address), key: `listeners[${index}].address` }
  }
  if (config.admin !== undefined && isIt(config.admin.address)) {
    return { text: formatAddress(config.admin.address), key: 'admin.address' }
  }
  return { text: port === undefined ? address : `${address}:${port}`, key: undefined }
}
