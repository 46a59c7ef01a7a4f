/** Binds the address of a listener, or takes a socket that systemd has bound, and listens. */

import { once } from 'node:events'
import { chmodSync, chownSync, lstatSync, readFileSync, readlinkSync, unlinkSync } from 'node:fs'
import net, { type Server } from 'node:net'
import { isSystemd, type Address, type ListenerConfig } from '../config/config.ts'

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
  server.listen({ fd, backlog })
  await once(server, 'listening')
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

async function bindPath(server: Server, path: string, config: BindConfig): Promise<void> {
  try {
    await listenAt(server, path, config)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStale(path))) {
      throw error
    }
    unlinkSync(path)
    await listenAt(server, path, config)
  }
}

async function listenAt(server: Server, path: string, config: BindConfig): Promise<void> {
  const { backlog, mode, owner } = config
  // The file must not be open to more users than it is meant for, not even for a moment. Node makes it in this call.
  const before = mode === undefined ? undefined : process.umask(0o777 & ~mode)
  try {
    server.listen({ path, backlog })
  } finally {
    if (before !== undefined) process.umask(before)
  }
  await once(server, 'listening')
  try {
    if (owner !== undefined) giveTo(path, owner)
    if (mode !== undefined) chmodSync(path, mode)
  } catch (error) {
    server.close()
    const { message } = error as Error
    throw new Error(`cannot give unix:${path} its owner and mode: ${message}`, { cause: error })
  }
}

/** Whether it is a socket that no process listens at any more. */
async function isStale(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false
  const socket = net.connect({ path })
  try {
    await once(socket, 'connect')
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
  } finally {
    socket.destroy()
  }
}

/** For chown: who stays as he is. */
const UNCHANGED = -1

function giveTo(path: string, owner: string): void {
  const [user = '', group = ''] = owner.split(':', 2)
  chownSync(path, idOf(user, '/etc/passwd', 'user'), idOf(group, '/etc/group', 'group'))
}

/** Names of other sources than these files (LDAP, ...) are not known here. */
function idOf(name: string, file: string, what: string): number {
  if (name === '') return UNCHANGED
  if (/^\d+$/.test(name)) return Number(name)
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [own, , id] = line.split(':', 3)
    if (own === name && id !== undefined) return Number(id)
  }
  throw new Error(`${file} has no ${what} ${name}; a number is taken as well`)
}
