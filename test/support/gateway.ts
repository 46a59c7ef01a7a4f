/** A whole gateway in the test's process: from YAML, on free ports, with its log lines at hand. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import type { ReloadResult } from '../../src/reload/result.ts'
import { withTestRelay } from './test-relay.ts'

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string }

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway
  /** The port of the first listener. */
  readonly port: number
  readonly adminPort: number
  /** Replaces its config file, and the files beside it. Nobody reads it yet; listener and admin stay where they are. */
  rewrite(yaml: string, files?: TestFiles): Promise<void>
  /** Replaces them, and has the gateway read the config again. */
  reload(yaml: string, files?: TestFiles): Promise<ReloadResult>
  /** Lines so far. */
  readonly logs: readonly LogLine[]
  /** The first line, past or to come, that has this message and these fields. */
  log(msg: string, fields?: Readonly<Record<string, unknown>>): Promise<LogLine>
  /** The text of /metrics. */
  metrics(): Promise<string>
  /** One value of /metrics, e.g. `upgate_tunnels_open{route="a"}`: the sum of the series that have all these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
}

export type TestFiles = Readonly<Record<string, string | Buffer>>

/** Free ports of the loopback address. */
export const LOOPBACK = {
  listeners: [{ address: '127.0.0.1:0' }],
  admin: { address: '127.0.0.1:0' },
}

/** Unless `yaml` says otherwise, listener and admin are on free ports of the loopback address, and the relay is that of the tests (see `test-relay.ts`). `files` are put beside the config. */
export async function startTestGateway(yaml: string, files: TestFiles = {}): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-test-'))
  const file = join(folder, 'upgate.yaml')
  const rewrite = async (text: string, beside: TestFiles = {}): Promise<void> => {
    for (const [name, content] of Object.entries(beside)) {
      await writeFile(join(folder, name), content)
    }
    await writeFile(file, withTestRelay(text, LOOPBACK))
  }
  await rewrite(yaml, files)
  const lines = new LogLines()
  const load = async (): Promise<Config> => loadConfig(file, {})
  const gateway = await startGateway(await load(), { logDestination: lines, load })
  const port = portOf(gateway.addresses[0])
  const adminPort = portOf(gateway.adminAddress)
  const metrics = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`)
    return response.text()
  }
  return {
    gateway,
    port,
    adminPort,
    rewrite,
    async reload(text, beside) {
      await rewrite(text, beside)
      return gateway.reloadFile('api')
    },
    logs: lines.all,
    log: (msg, fields = {}) => lines.find(msg, fields),
    metrics,
    metric: async (name, labels = {}) => sumOf(await metrics(), name, labels),
    async [Symbol.asyncDispose]() {
      await gateway.destroy()
      await rm(folder, { recursive: true })
    },
  }
}

function portOf(address: Gateway['adminAddress']): number {
  return address?.kind === 'tcp' ? address.port : 0
}

function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** pino's destination: whole lines of JSON. */
class LogLines extends Writable {
  readonly all: LogLine[] = []
  readonly #waiting = new Set<() => void>()

  override _write(chunk: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    for (const line of String(chunk).split('\n')) {
      if (line !== '') this.all.push(JSON.parse(line) as LogLine)
    }
    for (const wake of this.#waiting) wake()
    done()
  }

  async find(msg: string, fields: Readonly<Record<string, unknown>>): Promise<LogLine> {
    for (;;) {
      const found = this.all.find(
        (line) =>
          line.msg === msg && Object.entries(fields).every(([name, value]) => line[name] === value),
      )
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          resolve()
        }
        this.#waiting.add(wake)
      })
    }
  }
}
