import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BcryptQueue } from '../../src/auth/bcrypt-queue.ts'

/** A bcrypt that a test finishes by hand. */
function manualVerify() {
  const running: PromiseWithResolvers<boolean>[] = []
  let calls = 0
  const verify = (): Promise<boolean> => {
    calls += 1
    const pending = Promise.withResolvers<boolean>()
    running.push(pending)
    return pending.promise
  }
  return { verify, running, calls: () => calls }
}

function taken(check: Promise<boolean> | undefined): Promise<boolean> {
  assert.ok(check !== undefined)
  return check
}

function asked(key: string, client = '192.0.2.1') {
  return { key, client, password: 'p', hash: 'h' }
}

describe('BcryptQueue', () => {
  it('makes one check for all who ask for the same', async () => {
    const manual = manualVerify()
    const queue = new BcryptQueue(manual.verify)
    const checks = [queue.verify(asked('k')), queue.verify(asked('k'))]
    manual.running[0]?.resolve(true)
    assert.deepEqual(await Promise.all(checks.map(taken)), [true, true])
    assert.equal(manual.calls(), 1)
  })

  it('runs two checks at a time, and the others in their order', async () => {
    const manual = manualVerify()
    const queue = new BcryptQueue(manual.verify)
    const checks = ['a', 'b', 'c', 'd'].map((key) => queue.verify(asked(key)))
    assert.equal(manual.calls(), 2)
    manual.running[0]?.resolve(true)
    await checks[0]
    await checks[0]
    assert.equal(manual.calls(), 3)
    manual.running[1]?.resolve(false)
    await checks[1]
    manual.running[2]?.resolve(true)
    await checks[2]
    manual.running[3]?.resolve(false)
    assert.deepEqual(await Promise.all(checks.map(taken)), [true, false, true, false])
  })

  it('takes no more than 64 checks, and more again when one has ended', async () => {
    const manual = manualVerify()
    const queue = new BcryptQueue(manual.verify)
    const checks = Array.from({ length: 64 }, (_, index) =>
      queue.verify(asked(`${index}`, `192.0.2.${index}`)),
    )
    assert.ok(checks.every((check) => check !== undefined))
    assert.equal(queue.verify(asked('64', '192.0.2.64')), undefined)
    manual.running[0]?.resolve(true)
    await checks[0]
    assert.notEqual(queue.verify(asked('64', '192.0.2.64')), undefined)
  })

  it('takes eight checks of one client, and those of others beside them', () => {
    const queue = new BcryptQueue(manualVerify().verify)
    for (let index = 0; index < 8; index += 1) void taken(queue.verify(asked(`${index}`)))
    assert.equal(queue.verify(asked('8')), undefined)
    // Who asks for what is under way takes no place.
    assert.notEqual(queue.verify(asked('0')), undefined)
    assert.notEqual(queue.verify(asked('8', '192.0.2.2')), undefined)
  })

  it('goes on after a check that failed', async () => {
    const manual = manualVerify()
    const queue = new BcryptQueue(manual.verify)
    const failing = queue.verify(asked('a'))
    manual.running[0]?.reject(new Error('broken'))
    await assert.rejects(taken(failing), { message: 'broken' })
    const next = queue.verify(asked('a'))
    manual.running[1]?.resolve(true)
    assert.equal(await next, true)
  })
})
