/** Debian's nginx in front of a gateway or behind it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { findFile, findProgram, RunningProgram } from './programs.ts'

export const nginx = findProgram('nginx')

const streamModule = findFile('/usr/lib/nginx/modules/ngx_stream_module.so', 'libnginx-mod-stream')

/** For the options of a test with `startNginxStream`. */
export const withNginxStream: { readonly skip: string | false } = {
  skip: nginx.skip === false ? streamModule.skip : nginx.skip,
}

export interface Nginx extends AsyncDisposable {
  readonly port: number
}

/** `server` is what the server block says besides; `listen` what stands behind the address, `http` what the block around it has. */
export function startNginx(
  server: string,
  { listen = '', http = '' }: { readonly listen?: string; readonly http?: string } = {},
): Promise<Nginx> {
  return start(
    (folder, port) => `
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
}

/** Passes TCP connections on as they are; `server` is what its server block says besides. */
export function startNginxStream(server: string): Promise<Nginx> {
  return start(
    (_folder, port) => `
stream {
  server {
    listen 127.0.0.1:${port};
    ${server}
  }
}
`,
    `load_module ${streamModule.path};`,
  )
}

/** In one process, as whoever runs the tests, with every file in a folder of its own. */
function start(block: (folder: string, port: number) => string, modules = ''): Promise<Nginx> {
  return runNginx(
    (folder, port) => `${modules}
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events {}
${block(folder, port)}`,
  )
}

/** With a whole configuration, which keeps nginx in the foreground and its files in the folder. */
export async function runNginx(config: (folder: string, port: number) => string): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-nginx-'))
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config(folder, port))
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
