/** Sockets that systemd has bound for this process and passed on to it (sd_listen_fds(3)). */

import { isSystemd, type ListenerAddress, type ListenerConfig } from '../config/config.ts'

export interface PassedSocket {
  readonly fd: number
  /** FileDescriptorName= of the socket unit; `unknown` where nobody gave one. */
  readonly name: string
}

/** The first one that is passed. */
const FIRST_FD = 3
const COUNT_MAX = 1024

/**
 * What `env` says of them if it is meant for the process `pid`. The variables are removed: they are nothing for programs
 * that this one starts.
 */
export function takePassedSockets(env: NodeJS.ProcessEnv, pid: number): readonly PassedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  delete env['LISTEN_PID']
  delete env['LISTEN_FDS']
  delete env['LISTEN_FDNAMES']
  delete env['LISTEN_PIDFDID']
  const count = /^\d{1,4}$/.test(LISTEN_FDS ?? '') ? Number(LISTEN_FDS) : 0
  if (LISTEN_PID !== String(pid) || count > COUNT_MAX) return []
  const names = LISTEN_FDNAMES?.split(':') ?? []
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_FD + index,
    name: names[index] === undefined || names[index] === '' ? 'unknown' : names[index],
  }))
}

let passed: readonly PassedSocket[] | undefined

/** Those of this process. */
export function passedSockets(): readonly PassedSocket[] {
  passed ??= takePassedSockets(process.env, process.pid)
  return passed
}

/**
 * With a listener for each socket in place of one for all of a name. Throws when there is none of a name, or a socket is
 * another listener's already.
 */
export function withPassedSockets(
  configs: readonly ListenerConfig[],
  sockets: readonly PassedSocket[],
): readonly ListenerConfig[] {
  const taken = new Set<number>()
  return configs.flatMap((config) => {
    const { address } = config
    if (!isSystemd(address)) return [config]
    const own = sockets.filter(({ name }) => address.name === undefined || name === address.name)
    if (own.length === 0) throw new Error(nothingPassed(address, sockets))
    return own.map(({ fd, name }) => {
      if (taken.has(fd)) throw new Error(`two listeners are for socket ${fd} of systemd (${name})`)
      taken.add(fd)
      return { ...config, address: { kind: 'systemd', name, fd } as const }
    })
  })
}

function nothingPassed(
  address: Extract<ListenerAddress, { kind: 'systemd' }>,
  sockets: readonly PassedSocket[],
): string {
  const wanted = address.name === undefined ? 'systemd' : `systemd:${address.name}`
  const names = [...new Set(sockets.map(({ name }) => name))].join(', ')
  return sockets.length === 0
    ? `cannot listen on ${wanted}: systemd has passed no sockets. Start the .socket unit, and the gateway by its .service unit; ExecStart= has to run it itself, not by a shell or npm.`
    : `cannot listen on ${wanted}: systemd has passed no socket of that name (FileDescriptorName=), but ${names}.`
}
