/**
 * Reads files that a configuration names. A named pipe, a device or a directory in place of one is refused before it is read:
 * the read would wait for ever, never end, or change what the device does.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { open, stat } from 'node:fs/promises'

/** Far above any config, list of users or chain of certificates; it bounds the memory that a wrong path takes. */
export const FILE_BYTES_MAX = 64 * 1024 ** 2

/** Between the look and the opening a pipe may take the file's place: opening it must not wait. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/** Throws an Error that `readFailure` puts into words. */
export function readRegularFile(path: string): Buffer {
  checkRegular(statSync(path))
  const fd = openSync(path, FLAGS)
  try {
    checkRegular(fstatSync(fd))
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The same without blocking. */
export async function readRegularFileAsync(path: string): Promise<Buffer> {
  checkRegular(await stat(path))
  await using file = await open(path, FLAGS)
  checkRegular(await file.stat())
  return await file.readFile()
}

/** Why a file could not be read, in words that follow `cannot be read: `. */
export function readFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file'
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read it'
  if (code === 'EISDIR') return 'it is a directory'
  return error instanceof Error ? error.message : String(error)
}

function checkRegular(stats: Stats): void {
  if (stats.isDirectory()) throw new Error('it is a directory')
  if (!stats.isFile()) throw new Error(`it is ${kindOf(stats)}; expected a regular file`)
  if (stats.size > FILE_BYTES_MAX) {
    throw new Error(`it has ${mebibytes(stats.size)}, more than ${mebibytes(FILE_BYTES_MAX)}`)
  }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`
}

function kindOf(stats: Stats): string {
  if (stats.isFIFO()) return 'a named pipe'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}
