import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { FileWatch } from '../../src/reload/file-watch.ts'

/** A folder, a watch that looks when it is told to, and what it has told. */
async function watching(names: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-watch-'))
  const path = (name: string): string => join(folder, name)
  for (const name of names) await writeFile(path(name), `${name} at first`)
  let changes = 0
  const watch = new FileWatch({
    intervalMs: 1_000_000,
    onChange: () => {
      changes += 1
    },
  })
  await watch.follow(names.map(path))
  return {
    watch,
    path,
    /** How many changes it has told of after so many more looks. */
    async changes(looks: number) {
      for (let look = 0; look < looks; look += 1) await watch.look()
      return changes
    },
    async [Symbol.asyncDispose]() {
      watch.close()
      await rm(folder, { recursive: true })
    },
  }
}

describe('FileWatch', () => {
  it('tells nothing of files that stay as they are, and of times alone', async () => {
    await using watched = await watching(['a', 'b'])
    assert.equal(await watched.changes(2), 0)
    await writeFile(watched.path('a'), 'a at first')
    assert.equal(await watched.changes(3), 0)
  })

  it('tells once of a change, however many files it is in', async () => {
    await using watched = await watching(['a', 'b'])
    for (const name of ['a', 'b']) await writeFile(watched.path(name), `${name} changed`)
    assert.equal(await watched.changes(4), 1)
  })

  it('does not tell of a file that is another one at each look, until it is written', async () => {
    await using watched = await watching(['a'])
    for (const content of ['', 'half', 'half of it']) {
      await writeFile(watched.path('a'), content)
      assert.equal(await watched.changes(1), 0)
    }
    assert.equal(await watched.changes(1), 1)
  })

  it('tells nothing of a file that is again what it was', async () => {
    await using watched = await watching(['a'])
    await writeFile(watched.path('a'), 'half')
    assert.equal(await watched.changes(1), 0)
    await writeFile(watched.path('a'), 'a at first')
    assert.equal(await watched.changes(3), 0)
  })

  it('sees a file that is renamed over it, and a symbolic link that points elsewhere', async () => {
    await using watched = await watching(['a', 'one', 'two'])
    await symlink('one', watched.path('link'))
    await watched.watch.follow([watched.path('a'), watched.path('link')])
    await writeFile(watched.path('new'), 'new')
    await rename(watched.path('new'), watched.path('a'))
    assert.equal(await watched.changes(2), 1)
    await symlink('two', watched.path('newlink'))
    await rename(watched.path('newlink'), watched.path('link'))
    assert.equal(await watched.changes(2), 2)
  })

  it('tells of a file that has gone, and of its return', async () => {
    await using watched = await watching(['a'])
    await rm(watched.path('a'))
    assert.equal(await watched.changes(2), 1)
    await writeFile(watched.path('a'), 'back')
    assert.equal(await watched.changes(2), 2)
  })

  it('tells nothing of files that are new to it, until they change', async () => {
    await using watched = await watching(['a'])
    await writeFile(watched.path('b'), 'b')
    await watched.watch.follow([watched.path('b')])
    await writeFile(watched.path('a'), 'nobody looks')
    assert.equal(await watched.changes(3), 0)
    await writeFile(watched.path('b'), 'changed')
    assert.equal(await watched.changes(2), 1)
  })

  it('looks by itself', async () => {
    await using watched = await watching(['a'])
    const told = Promise.withResolvers<void>()
    const watch = new FileWatch({ intervalMs: 1, onChange: told.resolve })
    await watch.follow([watched.path('a')])
    // Its timer keeps no process alive.
    const alive = setInterval(() => {}, 1000)
    await writeFile(watched.path('a'), 'changed')
    await told.promise
    clearInterval(alive)
    watch.close()
  })

  it('tells nothing after its end', async () => {
    await using watched = await watching(['a'])
    watched.watch.close()
    await writeFile(watched.path('a'), 'changed')
    await watched.watch.follow([watched.path('a')])
    assert.equal(await watched.changes(3), 0)
  })
})
