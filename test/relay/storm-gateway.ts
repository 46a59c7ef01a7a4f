/** A gateway in a process of its own that logs more than can be kept: its lines are counted as they come. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { LOOPBACK, type LogLine } from '../support/gateway.ts'
import { withTestRelay } from '../support/test-relay.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const COLLECT = new URL('../fixtures/relay/collect-garbage.ts', import.meta.url).href

export class StormGateway implements AsyncDisposable {
  /** Of its listener and of its admin, by the message of their log lines. */
  readonly ports = new Map<string, number>()
  /** The relay that it says it uses. */
  relay = ''
  /** Tunnels that have begun and not ended, by their ids. */
  readonly open = new Set<unknown>()
  opened = 0
  closed = 0
  /** How many ended in which way. */
  readonly ends = new Map<string, number>()
  readonly #child: ChildProcess
  readonly #folder: string
  #wake: (() => void)[] = []

  static async start(yaml: string): Promise<StormGateway> {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-storm-'))
    const file = join(folder, 'upgate.yaml')
    await writeFile(file, withTestRelay(yaml, LOOPBACK))
    const gateway = new StormGateway(folder, file)
    await gateway.until(() => gateway.relay !== '')
    return gateway
  }

  private constructor(folder: string, file: string) {
    this.#folder = folder
    const options = ['--expose-gc', '--import', COLLECT]
    this.#child = spawn(process.execPath, [...options, MAIN, '-c', file], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    createInterface(this.#child.stdout as Readable).on('line', (line) => this.#read(line))
    this.#child.on('exit', () => this.#tell())
  }

  get port(): number {
    return this.ports.get('listening') as number
  }

  /** Waits until `ready` holds; it is asked at every line. */
  async until(ready: () => boolean): Promise<void> {
    while (!ready()) {
      assert.equal(this.#child.exitCode, null, 'the gateway has ended')
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  async descriptors(): Promise<number> {
    return (await readdir(`/proc/${this.#child.pid}/fd`)).length
  }

  /** Resident memory without mapped files, in bytes, once garbage is collected. */
  async memory(): Promise<number> {
    const collected = once(this.#child, 'message')
    this.#child.send('collect')
    await collected
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  /** The sum of the series of a metric. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.ports.get('admin listening')}/metrics`)
    const lines = (await response.text()).split('\n')
    return lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  /** Ends it as an operator does, and returns its exit code. */
  async stop(): Promise<number | null> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const [code] = (await exited) as [number | null]
    return code
  }

  #read(text: string): void {
    const line = JSON.parse(text) as LogLine
    if (line.msg === 'tunnel open') {
      this.opened += 1
      this.open.add(line['tunnelId'])
    } else if (line.msg === 'tunnel close') {
      this.closed += 1
      assert.ok(this.open.delete(line['tunnelId']), `a close without an open: ${text}`)
      const end = `${String(line['by'])} ${String(line['reason'])}`
      this.ends.set(end, (this.ends.get(end) ?? 0) + 1)
    } else if (line.msg === 'ready') this.relay = String(line['relay'])
    else if (typeof line['url'] === 'string') {
      this.ports.set(line.msg, Number(new URL(line['url']).port))
    } else if (line['level'] !== 'info') assert.fail(text)
    this.#tell()
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGKILL')
      await exited
    }
    await rm(this.#folder, { recursive: true })
  }
}
