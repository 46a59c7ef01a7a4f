import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { run } from '../../src/cli/run.ts'
import type { Host, Served, Signal } from '../../src/cli/run.ts'
import { loadText } from '../config/load-text.ts'

const config = loadText('routes: [{ upstream: "builtin:echo" }]')

/** A process that only notes what happens to it. */
class NotedHost implements Host {
  readonly told: string[] = []
  readonly exits: number[] = []
  readonly exited: Promise<number>
  signal: (signal: Signal) => void = () => assert.fail('nobody listens for signals')
  hangUp: () => void = () => assert.fail('nobody listens for SIGHUP')
  readonly #exited = Promise.withResolvers<number>()

  constructor() {
    this.exited = this.#exited.promise
  }

  onSignal(handle: (signal: Signal) => void): void {
    this.signal = handle
  }

  onReload(handle: () => void): void {
    this.hangUp = handle
  }

  tell(message: string): void {
    this.told.push(message)
  }

  exit(code: number): void {
    this.exits.push(code)
    this.#exited.resolve(code)
  }
}

function served(stop: () => Promise<void>, reload = (): void => assert.fail()): Served {
  return { stop, reload }
}

describe('run', () => {
  it('reloads at each SIGHUP, and not before there is something to reload', async () => {
    const host = new NotedHost()
    const start = Promise.withResolvers<Served>()
    const running = run(config, () => start.promise, host)
    let reloads = 0
    host.hangUp()
    start.resolve(
      served(
        () => assert.fail(),
        () => {
          reloads += 1
        },
      ),
    )
    await running
    assert.equal(reloads, 0)
    host.hangUp()
    host.hangUp()
    assert.equal(reloads, 2)
    assert.deepEqual([host.exits, host.told], [[], []])
  })

  it('drains at the first signal, and exits with 0 when nothing is left', async () => {
    const host = new NotedHost()
    const drain = Promise.withResolvers<void>()
    await run(config, async () => served(() => drain.promise), host)
    host.signal('SIGTERM')
    assert.deepEqual(host.exits, [])
    drain.resolve()
    assert.equal(await host.exited, 0)
    assert.deepEqual(host.told, [])
  })

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`exits at once with ${code} when the second signal is ${signal}`, async () => {
      const host = new NotedHost()
      await run(config, async () => served(() => new Promise(() => {})), host)
      host.signal('SIGTERM')
      host.signal(signal)
      assert.equal(await host.exited, code)
    })
  }

  it('stops after the start when a signal comes during it', async () => {
    const host = new NotedHost()
    const start = Promise.withResolvers<Served>()
    const running = run(config, () => start.promise, host)
    let stops = 0
    host.signal('SIGINT')
    start.resolve(
      served(async () => {
        stops += 1
      }),
    )
    await running
    assert.equal(await host.exited, 0)
    assert.equal(stops, 1)
  })

  it('tells why it cannot start, and exits with 1', async () => {
    const host = new NotedHost()
    await run(config, () => Promise.reject(new Error('no luck')), host)
    assert.deepEqual(host.told, ['no luck'])
    assert.deepEqual(host.exits, [1])
  })

  it('tells once why it cannot start when a signal has come before', async () => {
    const host = new NotedHost()
    const start = Promise.withResolvers<never>()
    const running = run(config, () => start.promise, host)
    host.signal('SIGTERM')
    start.reject(new Error('no luck'))
    await running
    assert.equal(await host.exited, 1)
    assert.deepEqual(host.told, ['no luck'])
    assert.deepEqual(host.exits, [1])
  })

  it('tells why it cannot stop, and exits with 1', async () => {
    const host = new NotedHost()
    await run(config, async () => served(() => Promise.reject(new Error('stuck'))), host)
    host.signal('SIGTERM')
    assert.equal(await host.exited, 1)
    assert.deepEqual(host.told, ['stuck'])
  })
})
