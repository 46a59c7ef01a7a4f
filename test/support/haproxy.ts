/** Debian's HAProxy in front of a gateway or behind it. */

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, RunningProgram } from './programs.ts'

export const haproxy = findProgram('haproxy')

export interface Haproxy extends AsyncDisposable {
  readonly port: number
}

export interface HaproxyOptions {
  readonly mode: 'tcp' | 'http'
  /** The port of the server behind it, on the loopback address. */
  readonly server: number
  /** What stands behind the address to bind, and behind that of the server. */
  readonly bind?: string
  readonly send?: string
  /** Further lines. */
  readonly lines?: string
}

/** In one process, as whoever runs the tests. */
export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  const { mode, server, bind = '', send = '', lines = '' } = options
  const folder = await mkdtemp(join(tmpdir(), 'upgate-haproxy-'))
  const file = join(folder, 'haproxy.cfg')
  await writeFile(
    file,
    `defaults
  mode ${mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
listen all
  bind fd@3 ${bind}
  ${lines}
  server one 127.0.0.1:${server} ${send}
`,
  )
  // It tells nobody when it listens. With a socket that does already, whoever connects waits for it.
  const listening = createServer()
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  const { _handle: handle } = listening as unknown as { readonly _handle: { readonly fd: number } }
  const program = new RunningProgram(haproxy.path, ['-db', '-f', file], {
    stdio: ['pipe', 'pipe', 'pipe', handle.fd],
  })
  listening.close()
  return {
    port,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
