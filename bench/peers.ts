/** The gateways that are compared: what one is, which there are, and how one is started and stopped. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { haproxy } from './peers/haproxy.ts'
import { httpProxy3 } from './peers/http-proxy-3.ts'
import { nginx } from './peers/nginx.ts'
import { upgate } from './peers/upgate.ts'

export interface Peer {
  readonly name: string
  /** How it is set up, for the reader of the results. */
  readonly about: string
  /** Its version, or `undefined` where it is not installed. */
  version(): string | undefined
  plan(place: Place): Plan
}

/** Where a peer has to listen, on 127.0.0.1, and what it has to forward to. */
interface Place {
  readonly port: number
  /** For its own use, e.g. an admin listener. */
  readonly sparePort: number
  readonly upstreamPort: number
  /** Its own, for the files of its plan and for what it writes. */
  readonly directory: string
}

interface Plan {
  readonly command: string
  readonly args: readonly string[]
  /** Contents by name, written to the directory before the start. */
  readonly files: Readonly<Record<string, string>>
}

export interface RunningPeer {
  readonly name: string
  readonly port: number
  readonly pid: number
  /** Throws with its last words if it has ended by itself. */
  assertAlive(): void
  stop(): Promise<void>
}

/** In the order of the table; the first is what the others are compared with. */
export const peers: readonly Peer[] = [upgate, httpProxy3, nginx, haproxy]

const startMs = 10_000
const stopMs = 5_000

/** Starts a peer with its output in files, as a container's would go to a pipe. Rejects if it does not come to listen. */
export async function startPeer(
  peer: Peer,
  upstreamPort: number,
  root: string,
): Promise<RunningPeer> {
  const directory = join(root, `${peer.name}-${Date.now()}`)
  mkdirSync(directory, { recursive: true })
  const [port, sparePort] = await freePorts()
  const { command, args, files } = peer.plan({ port, sparePort, upstreamPort, directory })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  const outFile = openSync(join(directory, 'stdout'), 'w')
  const errorFile = openSync(join(directory, 'stderr'), 'w')
  const child = spawn(command, args, {
    cwd: directory,
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', outFile, errorFile],
  })
  child.on('error', () => {})
  closeSync(outFile)
  closeSync(errorFile)
  const assertAlive = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) return
    const lastWords = readFileSync(join(directory, 'stderr'), 'utf8').trim().slice(-400)
    throw new Error(`${peer.name} has ended (${child.exitCode ?? child.signalCode}): ${lastWords}`)
  }
  const running = {
    name: peer.name,
    port,
    pid: child.pid ?? 0,
    assertAlive,
    stop: () => stop(child),
  }
  try {
    await listening(port, assertAlive)
  } catch (error) {
    await running.stop()
    throw error
  }
  return running
}

async function listening(port: number, assertAlive: () => void): Promise<void> {
  const deadline = Date.now() + startMs
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    assertAlive()
    if (open) return
    if (Date.now() > deadline) throw new Error(`does not listen after ${startMs} ms`)
    await sleep(20)
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), stopMs)
  await ended
  clearTimeout(killer)
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const
  const ports = servers.map(async (server) => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  })
  const [first = 0, second = 0] = await Promise.all(ports)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return [first, second]
}
