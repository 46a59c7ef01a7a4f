/** Builds `frames_program.c`: the frame scanner of the native relay as a program, for tests that compare. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { hostCompiler, languageFlags } from '../toolchain.ts'

const core = join(import.meta.dirname, '..')

/**
 * Returns the program's path in `folder`, or undefined where there is no C compiler. Throws what the compiler writes when
 * it does not compile.
 */
export function buildFramesProgram(folder: string): string | undefined {
  const [compiler, ...args] = hostCompiler()
  const program = join(folder, 'frames-program')
  const sources = [join(core, 'frames.c'), join(import.meta.dirname, 'frames_program.c')]
  const flags = [...languageFlags, '-O1', '-I', core]
  const result = spawnSync(compiler, [...args, ...flags, '-o', program, ...sources], {
    encoding: 'utf8',
  })
  if (result.error !== undefined) return undefined
  if (result.status !== 0) throw new Error(result.stdout + result.stderr)
  return program
}
