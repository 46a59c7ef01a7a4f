import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { loadConfigInThread } from '../../src/config/load-thread.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { sameConfig } from '../../src/config/same.ts'
import { fixtures } from './load-text.ts'

async function withFile(yaml: string, run: (file: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-thread-'))
  try {
    const file = join(folder, 'upgate.yaml')
    await writeFile(file, yaml)
    await run(file)
  } finally {
    await rm(folder, { recursive: true })
  }
}

function manyRoutes(count: number): string {
  const routes = Array.from(
    { length: count },
    (_, index) => `  - { match: { path: /p${index} }, upstream: "http://a:${index + 1}" }\n`,
  )
  return `defaults: { timeouts: { idle: off } }\nroutes:\n${routes.join('')}`
}

async function problemsOf(file: string): Promise<ConfigError> {
  const error: unknown = await loadConfigInThread(file, {}).catch((reason: unknown) => reason)
  assert.ok(error instanceof ConfigError, String(error))
  return error
}

describe('loadConfigInThread', () => {
  it('gives what loadConfig gives', async () => {
    const file = fileURLToPath(new URL('../../config/upgate.yaml', import.meta.url))
    await withFile(manyRoutes(25), async (many) => {
      for (const each of [file, many]) {
        const config = await loadConfigInThread(each, process.env)
        assert.ok(sameConfig(config, loadConfig(each, process.env)))
      }
    })
  })

  it('freezes it, maps included', () =>
    withFile(manyRoutes(25), async (file) => {
      const config = await loadConfigInThread(file, {})
      assert.throws(
        () => Object.assign(config.routes[24]?.timeouts ?? {}, { idleMs: 1 }),
        TypeError,
      )
      assert.throws(() => (config.routes as unknown[]).push(1), TypeError)
      assert.throws(() => (config.upstreams as Map<string, unknown>).clear(), TypeError)
    }))

  it('puts the environment in', () =>
    withFile('log: { level: "${LEVEL}" }\nroutes: [{ upstream: builtin:echo }]', async (file) => {
      assert.equal((await loadConfigInThread(file, { LEVEL: 'warn' })).log.level, 'warn')
    }))

  it('rejects with the problems that loadConfig tells', async () => {
    const file = join(fixtures, 'mistakes.yaml')
    const error = await problemsOf(file)
    assert.throws(() => loadConfig(file, {}), { message: error.message })
    await withFile(`routes:\n${'  - {}\n'.repeat(150)}`, async (many) => {
      assert.equal((await problemsOf(many)).more, 50)
    })
    assert.match((await problemsOf('/nowhere/upgate.yaml')).message, /there is no such file$/)
  })

  it('ends when it is aborted', () =>
    withFile(manyRoutes(2000), async (file) => {
      const aborting = new AbortController()
      const loading = loadConfigInThread(file, {}, aborting.signal)
      aborting.abort(new Error('no more'))
      await assert.rejects(loading, /no more/)
      await assert.rejects(loadConfigInThread(file, {}, aborting.signal), /no more/)
    }))
})
