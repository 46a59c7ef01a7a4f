/** Binds the address of a listener, or takes a socket that systemd has bound, and listens. */

import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import net, { type Server } from 'node:net'
import { isSystemd, type Address, type ListenerConfig } from '../config/config.ts'
import type { PassedSocket } from './activation.ts'
import { bindPath } from './unix-path.ts'

export type BindConfig = Pick<
  ListenerConfig,
  'address' | 'backlog' | 'reusePort' | 'ipv6Only' | 'mode' | 'owner'
>

/** A bound server, which accepts nobody before the next turn of the event loop. */
export interface Bound {
  readonly server: Server
  /** With the real port where the config says 0; as systemd has bound it where that did. */
  readonly address: Address
}

/** TCP keepalive on client connections: finds peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 60_000

/** What belongs to a listener that is gone: systemd passes each of them once. */
const used = new Set<number>()

/** Those that no listener has taken so far. */
export function untaken(sockets: readonly PassedSocket[]): readonly PassedSocket[] {
  return sockets.filter(({ fd }) => !used.has(fd))
}

/** Rejects with node's error (EADDRINUSE, EACCES, ...) when that fails. */
export async function bind(config: BindConfig, highWaterMark: number): Promise<Bound> {
  const { address } = config
  const server = net.createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
    highWaterMark,
  })
  if (isSystemd(address)) return { server, address: await take(server, address.fd ?? -1, config) }
  if (address.kind === 'unix') {
    await bindPath(server, address.path, config)
    return { server, address }
  }
  const { backlog, reusePort, ipv6Only } = config
  const { host, port } = address
  server.listen({ host, port, backlog, reusePort, ipv6Only })
  await once(server, 'listening')
  return { server, address: { ...address, port: (server.address() as net.AddressInfo).port } }
}

async function take(server: Server, fd: number, { backlog }: BindConfig): Promise<Address> {
  if (used.has(fd)) {
    throw new Error(
      `socket ${fd} of systemd was closed when a reload took its listener away; a restart brings it back`,
    )
  }
  const path = unixPathOf(fd)
  try {
    server.listen({ fd, backlog })
    await once(server, 'listening')
  } catch (error) {
    const { message } = error as Error
    const need = 'its unit has to have ListenStream=, and not Accept=yes'
    throw new Error(`cannot listen on socket ${fd} of systemd: ${message}; ${need}`, {
      cause: error,
    })
  }
  used.add(fd)
  const bound = server.address()
  if (bound === null || typeof bound === 'string') return { kind: 'unix', path }
  return { kind: 'tcp', host: bound.address, port: bound.port }
}

/** Node does not know the path of a socket that another process has bound. Empty where there is none. */
function unixPathOf(fd: number): string {
  try {
    const [, inode = '-'] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? []
    const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
    const line = lines.find((each) => each.split(/ +/, 7)[6] === inode) ?? ''
    return /^(?:\S+ +){7}(.+)$/.exec(line)?.[1] ?? ''
  } catch {
    return ''
  }
}
