import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { loadConfigInThread } from '../../src/config/load-thread.ts'
import { startGateway } from '../../src/gateway.ts'

const ROUTES = 2000

function config(idle: string): string {
  const routes = Array.from(
    { length: ROUTES },
    (_, index) =>
      `  - { match: { host: h${index}.a.b, path: /p }, timeouts: { idle: ${idle} }, upstream: "http://h${index}:80" }\n`,
  )
  return `listeners: [{ address: "127.0.0.1:0" }]\nadmin: off\nlog: { level: silent }\nroutes:\n${routes.join('')}`
}

/** Of this thread alone: what other programs do at the same time does not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** The longest work between two turns of the event loop, in milliseconds, until `until` is settled. */
async function longestTurnMs(until: Promise<unknown>): Promise<number> {
  let longestMs = 0
  let isOver = false
  let lastMs = cpuMs()
  const look = (): void => {
    const nowMs = cpuMs()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    if (!isOver) setImmediate(look)
  }
  setImmediate(look)
  await until.finally(() => {
    isOver = true
  })
  return longestMs
}

describe('a reload of thousands of routes', () => {
  it('holds up requests for some milliseconds at a time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-stall-'))
    const file = join(folder, 'upgate.yaml')
    const load = (signal?: AbortSignal) => loadConfigInThread(file, {}, signal)
    await writeFile(file, config('1h'))
    const gateway = await startGateway(await load(), { load })
    try {
      await writeFile(file, config('2h'))
      const reloading = gateway.reloadFile('api')
      const longestMs = await longestTurnMs(reloading)
      const { ok, changes } = await reloading
      assert.deepEqual([ok, changes.length], [true, ROUTES])
      // It is a tenth of that on a machine that does nothing else; done in one go it would be half a second.
      assert.ok(longestMs < 100, `${longestMs} ms`)
    } finally {
      await gateway.destroy()
      await rm(folder, { recursive: true })
    }
  })
})
