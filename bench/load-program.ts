/** Compiles the load generator: one program for plain connections, and one for TLS where OpenSSL can be linked. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const source = join(import.meta.dirname, 'load')
const target = join(import.meta.dirname, '../build/bench')
const flags = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror']

/** What a connection's bytes go through. */
export type WireKind = 'plain' | 'tls'

export function loadProgram(kind: WireKind): string {
  return join(target, `load-${kind}`)
}

/** Throws where the compiler fails, which says why on stderr. */
export function buildPlainLoad(): void {
  mkdirSync(target, { recursive: true })
  execFileSync('cc', compilerArgs('plain', []), {
    cwd: source,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Needs OpenSSL's headers and libraries, as the load generator does. */
const probe = '#include <openssl/ssl.h>\nint main(void) { return TLS_client_method() == NULL; }\n'

/** Why there is no load generator for TLS; `undefined` once there is. */
export function buildTlsLoad(): string | undefined {
  const args = ['-x', 'c', '-', '-o', join(target, 'probe'), '-lssl', '-lcrypto']
  if (spawnSync('cc', args, { input: probe }).status !== 0)
    return 'OpenSSL cannot be linked: cc -lssl fails (Debian: libssl-dev)'
  const { status, stderr } = spawnSync('cc', compilerArgs('tls', ['-lssl', '-lcrypto']), {
    cwd: source,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the load generator for TLS does not compile:\n${stderr}`)
  return undefined
}

function compilerArgs(kind: WireKind, libraries: readonly string[]): string[] {
  const files = readdirSync(source).filter((name) => name.endsWith('.c'))
  return [...flags, '-o', loadProgram(kind), ...files, `${kind}/wire.c`, '-lm', ...libraries]
}
