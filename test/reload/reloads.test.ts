import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Reloads } from '../../src/reload/reloads.ts'
import { reloadFailed, type ReloadResult } from '../../src/reload/result.ts'

/** Runs that end when they are told to, and how often each kind has begun. */
class Script {
  readonly begun: string[] = []
  readonly #ends = new Map<string, (result: ReloadResult) => void>()

  readonly run = (name: string) => (): Promise<ReloadResult> => {
    this.begun.push(name)
    return new Promise((resolve) => this.#ends.set(name, resolve))
  }

  end(name: string): void {
    this.#ends.get(name)?.(reloadFailed(false, [name]))
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

describe('Reloads', () => {
  it('begins one when the one before has ended', async () => {
    const reloads = new Reloads()
    const script = new Script()
    const first = reloads.run(script.run('first'))
    const second = reloads.run(script.run('second'))
    await turn()
    assert.deepEqual(script.begun, ['first'])
    script.end('first')
    assert.deepEqual((await first).problems, ['first'])
    await turn()
    assert.deepEqual(script.begun, ['first', 'second'])
    script.end('second')
    assert.deepEqual((await second).problems, ['second'])
  })

  it('makes one of those that wait, and not of one that has begun', async () => {
    const reloads = new Reloads()
    const script = new Script()
    const first = reloads.runShared(false, script.run('first'))
    await turn()
    const waiting = [
      reloads.runShared(false, script.run('second')),
      reloads.runShared(false, script.run('third')),
    ]
    script.end('first')
    await first
    await turn()
    assert.deepEqual(script.begun, ['first', 'second'])
    script.end('second')
    for (const result of await Promise.all(waiting)) assert.deepEqual(result.problems, ['second'])
  })

  it('makes no dry run of one that is none', async () => {
    const reloads = new Reloads()
    const script = new Script()
    void reloads.runShared(false, script.run('real'))
    void reloads.runShared(true, script.run('dry'))
    void reloads.runShared(true, script.run('dry again'))
    await turn()
    script.end('real')
    await turn()
    assert.deepEqual(script.begun, ['real', 'dry'])
  })

  it('is idle when the last one has ended, those that came meanwhile included', async () => {
    const reloads = new Reloads()
    const script = new Script()
    await reloads.idle()
    void reloads.run(script.run('first'))
    let isIdle = false
    const idle = reloads.idle().then(() => {
      isIdle = true
    })
    await turn()
    void reloads.run(script.run('second'))
    script.end('first')
    await turn()
    assert.equal(isIdle, false)
    script.end('second')
    await idle
  })
})
