/** The ways in which the C tests are built and run: under each sanitizer, and for another C library and processor. */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { findProgram, type Program } from '../../test/support/programs.ts'
import { crossTargets, hostCompiler, type Command } from '../toolchain.ts'

export interface Variant {
  readonly name: string
  readonly compiler: Command
  readonly archiver: string
  readonly flags: readonly string[]
  /** What starts the program: a command that the program's path is appended to. */
  readonly launcher: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Without these nothing can be built or run. */
  readonly needs: readonly Program[]
}

export interface FuzzVariant extends Variant {
  /** The compiler brings a fuzzer that learns from what its inputs reach. */
  readonly hasFuzzer: boolean
}

const readable = ['-O1', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all']
const addressAndUndefined = [...readable, '-fsanitize=address,undefined']

const environments = {
  address: {
    // An assertion that fails counts as found, with the stack.
    ASAN_OPTIONS: 'handle_abort=1:detect_stack_use_after_return=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  },
  thread: { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1' },
}

/**
 * The shadow memory of older sanitizers lies where newer kernels may put a program ("unexpected memory mapping"), so
 * they get the same layout every time, where that is allowed.
 */
function steadyAddresses(): string[] {
  const command = ['setarch', '-R']
  return spawnSync('setarch', ['-R', 'true'], { stdio: 'ignore' }).status === 0 ? command : []
}

/** Clang's fuzzer is a library that need not be installed with it. */
function clangHasFuzzer(): boolean {
  const asked = spawnSync('clang', ['-print-runtime-dir'], { encoding: 'utf8' })
  if (asked.status !== 0) return false
  const folder = asked.stdout.trim()
  return existsSync(folder) && readdirSync(folder).some((name) => name.includes('rt.fuzzer'))
}

export function testVariants(): Variant[] {
  const [musl, arm64] = crossTargets
  const host = { compiler: hostCompiler(), archiver: 'ar', launcher: steadyAddresses(), needs: [] }
  return [
    { ...host, name: 'address', flags: addressAndUndefined, env: environments.address },
    {
      ...host,
      name: 'thread',
      flags: [...readable, '-fsanitize=thread'],
      env: environments.thread,
    },
    {
      name: musl.name,
      compiler: [musl.compiler],
      archiver: 'ar',
      flags: ['-O2', '-static'],
      launcher: [],
      env: {},
      needs: [findProgram(musl.compiler, 'musl-tools')],
    },
    {
      name: arm64.name,
      compiler: [arm64.compiler],
      archiver: 'aarch64-linux-gnu-ar',
      flags: ['-O2'],
      launcher: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
      env: {},
      needs: [
        findProgram(arm64.compiler, 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross'),
        findProgram('qemu-aarch64', 'qemu-user'),
      ],
    },
  ]
}

export function fuzzVariant(): FuzzVariant {
  const hasFuzzer = clangHasFuzzer()
  return {
    name: 'fuzz',
    compiler: hasFuzzer ? ['clang'] : hostCompiler(),
    archiver: 'ar',
    flags: hasFuzzer ? [...readable, '-fsanitize=fuzzer,address,undefined'] : addressAndUndefined,
    launcher: steadyAddresses(),
    env: environments.address,
    needs: [],
    hasFuzzer,
  }
}
