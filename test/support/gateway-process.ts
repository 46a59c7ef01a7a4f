/** A gateway in a process of its own, started as a user starts it: for tests of memory, descriptors and signals. */

import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LOOPBACK, type LogLine } from './gateway.ts'
import { RunningProgram } from './programs.ts'
import { withTestRelay } from './test-relay.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface GatewayProcess extends AsyncDisposable {
  readonly program: RunningProgram
  /** The port of its listener. */
  readonly port: number
  readonly adminPort: number
  /** Replaces its config file. Listener and admin stay where they are. */
  rewrite(yaml: string): Promise<void>
  /** Lines with this message so far. */
  logged(msg: string): LogLine[]
  /** Waits until `count` lines with this message are there. */
  log(msg: string, count: number): Promise<LogLine[]>
  /** Open file descriptors; Linux only. */
  descriptors(): Promise<number>
  /** Largest resident set so far, in bytes; Linux only. */
  peakBytes(): Promise<number>
}

/**
 * Listener and admin are on free ports of the loopback address; the relay is that of the tests (see `test-relay.ts`).
 * `descriptors` is what it may have; as many as the tests if left out.
 */
export async function startGatewayProcess(
  yaml: string,
  { descriptors }: { readonly descriptors?: number } = {},
): Promise<GatewayProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-process-'))
  const file = join(folder, 'upgate.yaml')
  await writeFile(file, withTestRelay(yaml, LOOPBACK))
  const command = [process.execPath, MAIN, '-c', file]
  const [path, ...args] =
    descriptors === undefined
      ? command
      : ['/bin/sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', ...command]
  const program = new RunningProgram(path as string, args)
  await program.output(/"msg":"ready"/)
  const [listening] = logged(program, 'listening')
  const [adminListening] = logged(program, 'admin listening')
  return {
    program,
    port: portOf(listening),
    adminPort: portOf(adminListening),
    // As editors and deployments do it: nobody reads half of it.
    async rewrite(changed) {
      await writeFile(`${file}.new`, withTestRelay(changed, LOOPBACK))
      await rename(`${file}.new`, file)
    },
    logged: (msg) => logged(program, msg),
    log: (msg, count) =>
      program.until(() => {
        const lines = logged(program, msg)
        return lines.length >= count ? lines : undefined
      }, `${count} times "${msg}"`),
    descriptors: async () => (await readdir(`/proc/${program.child.pid}/fd`)).length,
    async peakBytes() {
      const status = await readFile(`/proc/${program.child.pid}/status`, 'utf8')
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

function logged({ stdout }: RunningProgram, msg: string): LogLine[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.includes(`"msg":"${msg}"`))
    .map((line) => JSON.parse(line) as LogLine)
}

function portOf(line: LogLine | undefined): number {
  return Number(new URL(String(line?.['url'])).port)
}
