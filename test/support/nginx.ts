/** Debian's nginx in front of a gateway or behind it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { findProgram, RunningProgram } from './programs.ts'

export const nginx = findProgram('nginx')

export interface Nginx extends AsyncDisposable {
  readonly port: number
}

/** In one process, as whoever runs the tests, with every file in a folder of its own. `server` is what the server block says besides; `listen` what stands behind the address, `http` what the block around it has. */
export async function startNginx(
  server: string,
  { listen = '', http = '' }: { readonly listen?: string; readonly http?: string } = {},
): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-nginx-'))
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(
    file,
    `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  ${http}
  server {
    listen 127.0.0.1:${port} ${listen};
    ${server}
  }
}
`,
  )
  const program = new RunningProgram(nginx.path, ['-p', folder, '-c', file, '-e', 'stderr'])
  // The last line before its event loop, when it listens already.
  await program.output(/getrlimit/, 'stderr')
  return {
    port,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
