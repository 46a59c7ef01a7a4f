import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { Turns } from '../../src/auth/turns.ts'

describe('turns', () => {
  it('are given to a client up to a number, and to others beside it', async () => {
    const turns = new Turns(2)
    const given: string[] = []
    const take = (name: string, client: string) =>
      turns.take(client, 1000).then((end) => {
        given.push(name)
        return end
      })
    const first = await take('first', 'a')
    await take('second', 'a')
    const third = take('third', 'a')
    const fourth = take('fourth', 'a')
    await take('other', 'b')
    assert.deepEqual(given, ['first', 'second', 'other'])
    first?.()
    ;(await third)?.()
    ;(await fourth)?.()
    assert.deepEqual(given.slice(3), ['third', 'fourth'])
  })

  it('end once', async () => {
    const turns = new Turns(1)
    const end = await turns.take('a', 1000)
    end?.()
    end?.()
    await turns.take('a', 1000)
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const late = turns.take('a', 1000)
      mock.timers.tick(1000)
      assert.equal(await late, undefined)
    } finally {
      mock.timers.reset()
    }
  })

  it('are not waited for longer than the time for it', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const turns = new Turns(1)
      const end = await turns.take('a', 1000)
      const late = turns.take('a', 10)
      const next = turns.take('a', 1000)
      mock.timers.tick(10)
      assert.equal(await late, undefined)
      end?.()
      assert.equal(typeof (await next), 'function')
    } finally {
      mock.timers.reset()
    }
  })
})
