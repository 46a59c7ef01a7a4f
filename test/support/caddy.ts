/** Debian's Caddy behind a gateway. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { findProgram, RunningProgram } from './programs.ts'

export const caddy = findProgram('caddy')

export interface Caddy extends AsyncDisposable {
  readonly port: number
}

export interface CaddyOptions {
  /** PEM files. */
  readonly cert: string
  readonly key: string
  /** What its site says besides. */
  readonly site: string
}

/** A site over TLS, with HTTP/2 and HTTP/1.1, and every file in a folder of its own. */
export async function startCaddy({ cert, key, site }: CaddyOptions): Promise<Caddy> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-caddy-'))
  const port = await freePort()
  const file = join(folder, 'Caddyfile')
  await writeFile(
    file,
    `{
  admin off
  auto_https off
  servers {
    protocols h1 h2
  }
}
https://127.0.0.1:${port} {
  bind 127.0.0.1
  tls ${cert} ${key}
  ${site}
}
`,
  )
  const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder }
  const args = ['run', '--config', file, '--adapter', 'caddyfile']
  const program = new RunningProgram(caddy.path, args, { env })
  await program.output(/serving initial configuration/, 'stderr')
  return {
    port,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
