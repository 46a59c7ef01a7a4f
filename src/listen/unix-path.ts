/** Listens at a path: the file of a unix socket, whose it is, and what becomes of one that is left over. */

import { once } from 'node:events'
import { chmodSync, chownSync, lstatSync, readFileSync, unlinkSync } from 'node:fs'
import net, { type Server } from 'node:net'

export interface PathOptions {
  /** Node's own when left out. */
  readonly backlog?: number
  /** Permission bits. What the umask leaves when undefined. */
  readonly mode: number | undefined
  /** `user:group`, `user` or `:group`, names or numbers. */
  readonly owner: string | undefined
}

/**
 * A socket that no process listens at any more is replaced. Rejects with node's error (EADDRINUSE, EACCES, ...), and when the
 * file cannot be given its owner and mode; nothing stays there then.
 */
export async function bindPath(server: Server, path: string, options: PathOptions): Promise<void> {
  try {
    await listenAt(server, path, options)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStale(path))) {
      throw error
    }
    unlinkSync(path)
    await listenAt(server, path, options)
  }
}

async function listenAt(server: Server, path: string, options: PathOptions): Promise<void> {
  const { backlog, mode } = options
  // The file must not be open to more users than it is meant for, not even for a moment. Node makes it in this call.
  const before = mode === undefined ? undefined : process.umask(0o777 & ~mode)
  try {
    server.listen({ path, backlog })
  } finally {
    if (before !== undefined) process.umask(before)
  }
  await once(server, 'listening')
  try {
    givePath(path, options)
  } catch (error) {
    server.close()
    throw error
  }
}

/** Throws when there is no such user or group, or this process may not. */
export function givePath(path: string, { mode, owner }: PathOptions): void {
  try {
    if (owner !== undefined) giveTo(path, owner)
    if (mode !== undefined) chmodSync(path, mode)
  } catch (error) {
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
