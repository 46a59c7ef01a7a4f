/** An Apache that serves files, and upgrades to h2c whoever asks for it (RFC 7540 3.2). */

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { findProgram, RunningProgram } from './programs.ts'

export const apache = findProgram('apache2', 'apache2-bin')

const MODULES = '/usr/lib/apache2/modules'

export interface Apache extends AsyncDisposable {
  /** As an endpoint of the config. */
  readonly url: string
  /** Its own, where tests may leave files as well. */
  readonly folder: string
}

/** With every file in a folder of its own. `files` have their paths as names. */
export async function startApache(
  files: Readonly<Record<string, string | Buffer>>,
): Promise<Apache> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-apache-'))
  const served = join(folder, 'served')
  await mkdir(served)
  // Where root runs the tests, Apache reads the files as somebody else.
  await chmod(folder, 0o755)
  for (const [name, content] of Object.entries(files)) await writeFile(join(served, name), content)
  const port = await freePort()
  const file = join(folder, 'apache2.conf')
  await writeFile(file, configuration(folder, served, port))
  const program = new RunningProgram(apache.path, ['-D', 'FOREGROUND', '-f', file])
  // Written when it listens already.
  await program.output(/resuming normal operations/)
  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    async [Symbol.asyncDispose]() {
      // It ends its own processes, which outlive it otherwise.
      program.child.kill('SIGTERM')
      await program.exited
      await rm(folder, { recursive: true })
    },
  }
}

function configuration(folder: string, served: string, port: number): string {
  return `ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
LoadModule mpm_worker_module ${MODULES}/mod_mpm_worker.so
LoadModule http2_module ${MODULES}/mod_http2.so
LoadModule authz_core_module ${MODULES}/mod_authz_core.so
User www-data
Group www-data
ServerName localhost
ServerLimit 1
StartServers 1
Listen 127.0.0.1:${port}
ErrorLog "|/bin/cat"
LogLevel info
DocumentRoot ${served}
Protocols h2c http/1.1
`
}
