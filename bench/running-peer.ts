/** Starts a gateway as a child process, waits until it listens, and stops it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Certificate, Peer } from './peer.ts'

export interface RunningPeer {
  readonly name: string
  readonly port: number
  /** Of HTTP/2 with prior knowledge; nobody listens there where the peer takes no part in its works. */
  readonly http2Port: number
  /** `undefined` where there is no certificate. */
  readonly tlsPort: number | undefined
  readonly pid: number
  /** Throws with its last words if it has ended by itself. */
  assertAlive(): void
  stop(): Promise<void>
}

/** What all peers of a run are given. */
export interface Site {
  readonly upstreamPort: number
  /** Each peer gets a directory of its own in it. */
  readonly root: string
  readonly certificate: Certificate | undefined
}

const startMs = 10_000
const stopMs = 5_000

/** Starts a peer with its output in files, as a container's would go to a pipe. Rejects if it does not come to listen. */
export async function startPeer(peer: Peer, site: Site): Promise<RunningPeer> {
  const { upstreamPort, certificate } = site
  const directory = join(site.root, `${peer.name}-${Date.now()}`)
  mkdirSync(directory, { recursive: true })
  const [port, sparePort, tlsPort, http2Port] = await freePorts()
  const tls = certificate === undefined ? undefined : { ...certificate, port: tlsPort }
  const plan = peer.plan({ port, sparePort, http2Port, upstreamPort, directory, tls })
  for (const [name, text] of Object.entries(plan.files)) writeFileSync(join(directory, name), text)
  const outFile = openSync(join(directory, 'stdout'), 'w')
  const errorFile = openSync(join(directory, 'stderr'), 'w')
  const child = spawn(plan.command, plan.args, {
    cwd: directory,
    env: { ...process.env, NODE_ENV: 'production', ...plan.environment },
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
    http2Port,
    tlsPort: tls?.port,
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

async function freePorts(): Promise<[number, number, number, number]> {
  const servers = [createServer(), createServer(), createServer(), createServer()]
  const ports = servers.map(async (server) => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  })
  const [first = 0, second = 0, third = 0, fourth = 0] = await Promise.all(ports)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return [first, second, third, fourth]
}
