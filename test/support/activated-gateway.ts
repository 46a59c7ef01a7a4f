/** A gateway in a process of its own, started with listening sockets as systemd starts it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { withTestRelay } from './test-relay.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Of the log. */
export type Line = Readonly<Record<string, unknown>>

export interface Activated extends AsyncDisposable {
  /** The first line, past or to come, of which this is true. */
  line(isIt: (line: Line) => boolean): Promise<Line>
  /** Has it read another config. */
  reload(yaml: string): Promise<void>
  /** Exit code and what it said on standard error. */
  readonly ended: Promise<{ readonly code: number | null; readonly err: string }>
}

/** Starts the gateway as systemd does: with `fds` from 3 on, and the variables that tell of them. */
export async function activate(
  yaml: string,
  fds: readonly number[],
  names: string,
): Promise<Activated> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-systemd-'))
  const file = join(folder, 'upgate.yaml')
  const write = (text: string): Promise<void> =>
    writeFile(file, withTestRelay(text, { admin: 'off' }))
  await write(yaml)
  // The shell becomes the gateway, so that its number is the gateway's.
  const script = 'LISTEN_PID=$$ exec "$0" "$@"'
  const child = spawn('sh', ['-c', script, process.execPath, main, '-c', file], {
    env: { PATH: process.env['PATH'], LISTEN_FDS: String(fds.length), LISTEN_FDNAMES: names },
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
  })
  const closed = once(child, 'close') as Promise<[number | null]>
  let err = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text))
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (text) => {
    lines.push(JSON.parse(text) as Line)
    for (const wake of waiting) wake()
  })
  const ended = closed.then(([code]) => ({ code, err }))
  return {
    ended,
    async reload(text) {
      await write(text)
      child.kill('SIGHUP')
    },
    line: (isIt) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find(isIt)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        void ended.then(({ err: said }) => reject(new Error(`it has ended: ${said}`)))
        look()
      }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await closed
      await rm(folder, { recursive: true })
    },
  }
}

/** A listening socket, and its descriptor. */
export async function listening(at: { port: number; host: string } | { path: string }) {
  const server = net.createServer().listen(at)
  await once(server, 'listening')
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle
  return { server, fd }
}

export async function letGo(server: net.Server): Promise<void> {
  server.close()
  await once(server, 'close')
}
