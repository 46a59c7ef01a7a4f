import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../src/config/config.ts'
import { loadBinding, type Binding } from '../../src/relay/binding.ts'
import { startEngine, type Engine } from '../../src/relay/engine.ts'
import { runProgram } from '../support/programs.ts'
import { readToEnd } from '../support/socket-pair.ts'
import { withNative } from '../support/test-relay.ts'
import { join } from './joined.ts'

type RelayConfig = Config['relay']

const config = (engine: RelayConfig['engine'], threads?: number): RelayConfig => ({
  engine,
  bufferBytes: 65_536,
  frames: true,
  ...(threads === undefined ? {} : { threads }),
})

const notBuilt = (): ReturnType<typeof loadBinding> => loadBinding('../../build/no-such.node')

/** An addon whose threads do not start. */
const threadless = (): Binding => {
  const start = (): never => {
    throw new Error("cannot start the relay's threads: Resource temporarily unavailable")
  }
  return { start } as Partial<Binding> as Binding
}

/** Carries bytes both ways and ends. */
async function check(engine: Engine): Promise<void> {
  await using joined = await join(engine.relay)
  joined.client.end('up')
  assert.equal(String(await readToEnd(joined.upstream)), 'up')
  joined.upstream.end('down')
  assert.equal(String(await readToEnd(joined.client)), 'down')
  const { by, reason, bytesUp, bytesDown } = await joined.tunnel.ended
  assert.deepEqual([by, reason, bytesUp, bytesDown], ['client', 'eof', 2, 4])
}

describe('startEngine', () => {
  for (const { wanted, reason } of [
    { wanted: 'auto', reason: 'the native relay is built' },
    { wanted: 'native', reason: 'relay.engine is native' },
  ] as const) {
    it(`takes the native relay with ${wanted} where it is built`, withNative, async () => {
      const engine = startEngine(config(wanted, 3))
      const { name, why } = engine
      assert.deepEqual({ name, why }, { name: 'native', why: `${reason}; 3 threads` })
      assert.notEqual(engine.dialer, undefined)
      await check(engine)
      engine.stop()
    })
  }

  it('starts as many threads as there are cores unless it is told how many', withNative, () => {
    const count = availableParallelism()
    for (const [threads, words] of [
      [undefined, count === 1 ? '1 thread' : `${count} threads`],
      [1, '1 thread'],
      [2, '2 threads'],
    ] as const) {
      const engine = startEngine(config('auto', threads))
      assert.equal(engine.why, `the native relay is built; ${words}`)
      engine.stop()
    }
  })

  it('does not even look for the native relay with portable', async () => {
    const engine = startEngine(config('portable'), () => assert.fail('it looked'))
    const { name, why, dialer } = engine
    assert.deepEqual(
      { name, why, dialer },
      { name: 'portable', why: 'relay.engine is portable', dialer: undefined },
    )
    await check(engine)
    engine.stop()
  })

  it('takes the portable relay with auto where the native one is not built', async () => {
    const engine = startEngine(config('auto'), notBuilt)
    assert.equal(engine.name, 'portable')
    assert.equal(
      engine.why,
      'no native relay: it is not built (`npm run build:native` builds it where a C compiler is)',
    )
    await check(engine)
    engine.stop()
  })

  it('says why there is no native relay and what to do where it has to be native', () => {
    assert.throws(() => startEngine(config('native'), notBuilt), {
      message:
        'relay.engine is native, but there is no native relay: it is not built (`npm run build:native` builds it where a C compiler is). With relay.engine auto the portable one is used.',
    })
  })

  it('does the same with an addon that cannot be loaded', async () => {
    const folder = await mkdtemp(joinPath(tmpdir(), 'upgate-engine-'))
    const file = joinPath(folder, 'relay.node')
    await writeFile(file, 'no shared object at all\n')
    const load = (): ReturnType<typeof loadBinding> => loadBinding(file)
    const engine = startEngine(config('auto'), load)
    assert.equal(engine.name, 'portable')
    assert.match(engine.why, /^no native relay: it cannot be loaded: .*relay\.node.*/)
    assert.doesNotMatch(engine.why, /\n/)
    assert.throws(
      () => startEngine(config('native'), load),
      /^Error: relay\.engine is native, but there is no native relay: it cannot be loaded: /,
    )
    await rm(folder, { recursive: true })
  })

  it('does the same when the threads cannot be started', async () => {
    const engine = startEngine(config('auto'), threadless)
    assert.equal(engine.name, 'portable')
    assert.equal(
      engine.why,
      "no native relay: cannot start the relay's threads: Resource temporarily unavailable",
    )
    await check(engine)
    assert.throws(
      () => startEngine(config('native'), threadless),
      /cannot start the relay's threads: Resource temporarily unavailable\. With relay\.engine auto/,
    )
  })

  it('leaves no descriptor open of threads that did not start', withNative, async () => {
    const script = fileURLToPath(new URL('../fixtures/relay/few-threads.ts', import.meta.url))
    const args = ['-c', 'ulimit -n 100 && exec "$@"', 'sh', process.execPath, script]
    const { stdout, stderr } = await runProgram('/bin/sh', args)
    assert.equal(stderr, '')
    const { name, why, before, after } = JSON.parse(stdout) as Record<string, unknown>
    assert.equal(name, 'portable')
    assert.equal(why, "no native relay: cannot start the relay's threads: Too many open files")
    // Node may close one of its own meanwhile.
    assert.ok(Number(after) <= Number(before), `${String(after)} after ${String(before)}`)
  })
})
