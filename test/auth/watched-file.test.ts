import assert from 'node:assert/strict'
import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { watchFile, type WatchedFile } from '../../src/auth/watched-file.ts'
import { FileWatch } from '../../src/reload/file-watch.ts'
import { RecordingLog } from './recording-log.ts'
import { temporaryFolder } from './temporary-folder.ts'

function parseNumber(text: string): number {
  const value = Number(text)
  if (Number.isNaN(value)) throw new Error('not a number')
  return value
}

function open(path: string, log: RecordingLog): Promise<WatchedFile<number>> {
  return watchFile({ path, what: 'a number', parse: parseNumber, log, intervalMs: 5 })
}

describe('watchFile', () => {
  it('has the parsed content at once', async () => {
    await using folder = await temporaryFolder()
    const file = await open(await folder.write('n', '1'), new RecordingLog())
    assert.equal(file.value, 1)
    file.close()
  })

  it('names the path when the file is missing at start', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'none')
    await assert.rejects(open(path, new RecordingLog()), (error: Error) => {
      assert.ok(error.message.startsWith(`${path} (a number): ENOENT`), error.message)
      return true
    })
  })

  it('names the path when the content is wrong at start', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', 'x')
    await assert.rejects(open(path, new RecordingLog()), {
      message: `${path} (a number): not a number`,
    })
  })

  it('reads a changed content and logs it', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    // The same size at nearly the same time.
    await writeFile(path, '2')
    assert.deepEqual(await log.next(), {
      level: 'info',
      message: 'file reloaded',
      fields: { file: path, what: 'a number' },
    })
    assert.equal(file.value, 2)
    file.close()
  })

  it('keeps the old content when the new one is wrong, and takes the next good one', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    await writeFile(path, 'x')
    const failure = await log.next()
    assert.equal(failure.level, 'error')
    assert.equal(failure.fields['cause'], 'not a number')
    assert.equal(file.value, 1)
    await writeFile(path, '3')
    assert.equal((await log.next()).level, 'info')
    assert.equal(file.value, 3)
    file.close()
  })

  it('does not take a file that is empty while it is being written', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const parsed: string[] = []
    const parse = (text: string) => {
      parsed.push(text)
      return parseNumber(text)
    }
    const file = await watchFile({ path, what: 'a number', parse, log, intervalMs: 5 })
    // It tells as soon as two looks of its own, in less time, have found the file empty.
    const emptied = Promise.withResolvers<void>()
    const other = new FileWatch({ onChange: () => emptied.resolve(), intervalMs: 10 })
    await other.follow([path])
    await writeFile(path, '')
    await emptied.promise
    await writeFile(path, '2')
    await log.next()
    assert.deepEqual(parsed, ['1', '2'])
    assert.equal(file.value, 2)
    file.close()
    other.close()
  })

  it('follows a file that is renamed over the old one', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    await rename(await folder.write('n.new', '2'), path)
    await log.next()
    assert.equal(file.value, 2)
    file.close()
  })

  it('follows a symlink of a folder that is swapped', async () => {
    await using folder = await temporaryFolder()
    for (const name of ['one', 'two']) await mkdir(join(folder.path, name))
    await folder.write('one/n', '1')
    await folder.write('two/n', '2')
    const data = join(folder.path, '..data')
    await symlink('one', data)
    await symlink('..data/n', join(folder.path, 'n'))
    const log = new RecordingLog()
    const file = await open(join(folder.path, 'n'), log)
    await symlink('two', join(folder.path, '..new'))
    await rename(join(folder.path, '..new'), data)
    await log.next()
    assert.equal(file.value, 2)
    file.close()
  })

  it('logs once that the file is gone, keeps its content, and sees it come back', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    await rm(path)
    const failure = await log.next()
    assert.match(String(failure.fields['cause']), /ENOENT/)
    assert.equal(file.value, 1)
    await writeFile(path, '2')
    // An error of a second look at the missing file would come first.
    assert.equal((await log.next()).level, 'info')
    assert.equal(file.value, 2)
    file.close()
  })

  it('does not parse again when only the times of the file change', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    await utimes(path, 1, 1)
    await writeFile(path, '2')
    await log.next()
    assert.equal(file.value, 2)
    assert.equal(log.lines.length, 1)
    file.close()
  })

  it('does not read an old file again while it stays the same', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const other = await folder.write('other', '1')
    const log = new RecordingLog()
    let parsed = 0
    const parse = (text: string) => {
      parsed += 1
      return parseNumber(text)
    }
    const now = Date.now
    // The clock is an hour ahead: the file is no longer young.
    Date.now = () => now() + 3_600_000
    const file = await watchFile({ path, what: 'a number', parse, log, intervalMs: 5 })
    const clock = await watchFile({
      path: other,
      what: 'other',
      parse: parseNumber,
      log,
      intervalMs: 20,
    })
    await writeFile(other, '2')
    await log.next()
    assert.equal(parsed, 1)
    file.close()
    clock.close()
    Date.now = now
  })

  it('changes nothing after close', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const closed = await open(path, log)
    const witness = await open(path, log)
    closed.close()
    await writeFile(path, '2')
    await log.next()
    witness.close()
    assert.deepEqual([closed.value, witness.value], [1, 2])
  })

  it('drops a reload that is under way when it is closed', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    const now = Date.now
    await new Promise<void>((resolve) => {
      // The clock is asked in the middle of a look.
      Date.now = () => {
        file.close()
        resolve()
        return now()
      }
    })
    Date.now = now
    await writeFile(path, '2')
    const witness = await open(path, log)
    await writeFile(path, '3')
    await log.next()
    witness.close()
    assert.deepEqual([file.value, log.lines.length], [1, 1])
  })

  it('tells its listeners of good reloads alone, with the new content in place', async () => {
    await using folder = await temporaryFolder()
    const path = await folder.write('n', '1')
    const log = new RecordingLog()
    const file = await open(path, log)
    const seen: number[] = []
    const stop = file.onReload(() => seen.push(file.value))
    for (const content of ['2', 'x', '3']) {
      await writeFile(path, content)
      await log.next()
    }
    stop()
    await writeFile(path, '4')
    await log.next()
    file.close()
    assert.deepEqual(seen, [2, 3])
  })
})
