import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import {
  FILE_BYTES_MAX,
  readFailure,
  readRegularFile,
  readRegularFileAsync,
} from '../../src/config/read-file.ts'

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'upgate-read-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Of both ways to read; they agree. */
async function failureOf(path: string): Promise<string> {
  const blocking = ((): unknown => {
    try {
      return readRegularFile(path)
    } catch (error) {
      return error
    }
  })()
  const other = await readRegularFileAsync(path).catch((error: unknown) => error)
  assert.equal(readFailure(other), readFailure(blocking))
  return readFailure(blocking)
}

describe('readRegularFile', () => {
  it('gives the content, also of an empty file', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a')
      for (const content of ['', 'a\n']) {
        await writeFile(path, content)
        assert.equal(readRegularFile(path).toString(), content)
        assert.equal((await readRegularFileAsync(path)).toString(), content)
      }
    }))

  it('refuses a named pipe at once, though nobody writes to it', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'pipe')
      execFileSync('mkfifo', [path])
      assert.equal(await failureOf(path), 'it is a named pipe; expected a regular file')
    }))

  it('refuses devices, folders, sockets and what is not there', () =>
    inFolder(async (folder) => {
      assert.equal(await failureOf('/dev/zero'), 'it is a device; expected a regular file')
      assert.equal(await failureOf(folder), 'it is a directory')
      assert.equal(await failureOf(join(folder, 'none')), 'there is no such file')
      const path = join(folder, 'socket')
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(path, resolve))
      assert.equal(await failureOf(path), 'it is a socket; expected a regular file')
      await new Promise((resolve) => server.close(resolve))
    }))

  it('refuses a file that is too big, before it is read', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'big')
      await writeFile(path, '')
      await truncate(path, FILE_BYTES_MAX + 1)
      assert.equal(await failureOf(path), 'it has 65 MiB, more than 64 MiB')
    }))
})
